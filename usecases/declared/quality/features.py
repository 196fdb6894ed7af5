"""Data-quality checks that need vectors and a split: leaks, and training-serving skew."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from sqlalchemy import Engine, select

from shared.rows.declaration import Declaration
from shared.rows.encoder import feature_set_of, slots_of
from shared.rows.schema import RowSchema
from shared.rows.tables import RowTables
from shared.tables.engine import database_errors
from shared.tasks import TaskKind
from shared.usecase.learning import Split
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Finding, Number, Severity, Verdict, conclude
from usecases.declared.power import Floats, ranking_power, word_means

GATE = "feature_quality"
MAX_POWER = 0.98
MIN_ROWS = 100
MOST_ROWS = 25_000
MAX_SKEWED_SHARE = 0.05
_SERVED_ROWS = 2_000


def judge_features(
    snapshot: pl.DataFrame,
    matrix: FloatMatrix,
    split: Split,
    served: Mapping[str, bytes],
    declared: Declaration,
) -> Verdict:
    """PASS when no column knows the label, and what was served is what is learned from."""
    schema = declared.row_schema
    findings = leaking_columns(schema, snapshot, matrix, split)
    skewed, compared = skewed_columns(schema, snapshot, matrix, served)
    findings += skewed
    numbers: dict[str, Number] = {"features": matrix.shape[1], "served_rows_compared": compared}
    clean = f"{matrix.shape[1]} features, {compared} served rows compared"
    return conclude(GATE, findings, declared.judge.accepted, numbers, clean)


def leaking_columns(
    schema: RowSchema, snapshot: pl.DataFrame, matrix: FloatMatrix, split: Split
) -> list[Finding]:
    """Columns that alone, or by being empty, give the label away."""
    rows = split.train[:: max(1, -(-len(split.train) // MOST_ROWS))]
    if schema.task.kind is TaskKind.RANKING or len(rows) < MIN_ROWS:
        return []
    truth = snapshot["label"].gather(rows).to_numpy().astype(np.float64)
    if len(np.unique(truth)) < 2:
        return []
    found = []
    for place, slot in enumerate(slots_of(schema)):
        values = matrix[rows, place].astype(np.float64)
        missing = np.isnan(values)
        ranked = _ranked(values, missing, truth, is_categorical=slot.is_categorical)
        power = ranking_power(ranked, truth, schema.task.kind)
        if missing.any() and not missing.all():
            power = max(power, ranking_power(missing.astype(np.float64), truth, schema.task.kind))
        if power > MAX_POWER:
            says = (
                f"alone ranks the label {power:.4f} of 1: remove it from [columns], or accept "
                f'it with judge.accepted = ["label_leakage:{slot.name}"]'
            )
            found.append(Finding("label_leakage", slot.name, says, {"power": power}, Severity.RUIN))
    return found


def _ranked(values: Floats, missing: Floats, truth: Floats, is_categorical: bool) -> Floats:
    if not is_categorical:
        return np.where(missing, -np.inf, values)
    _known, words = np.unique(np.where(missing, -1.0, values), return_inverse=True)
    return word_means(words.astype(np.int64), truth)


def read_served(engine: Engine, tables: RowTables) -> Mapping[str, bytes]:
    """The newest vectors as they were served under this encoding, by row.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    decisions, version = tables.decisions.c, feature_set_of(tables.schema).version
    query = (
        select(decisions.row_id, decisions.feature_vector)
        .where(decisions.feature_set_version == version, decisions.feature_vector.is_not(None))
        .order_by(decisions.decided_at.desc())
        .limit(_SERVED_ROWS)
    )
    with database_errors("read served vectors"), engine.connect() as connection:
        return {row.row_id: row.feature_vector for row in connection.execute(query)}


def skewed_columns(
    schema: RowSchema, snapshot: pl.DataFrame, matrix: FloatMatrix, served: Mapping[str, bytes]
) -> tuple[list[Finding], int]:
    """Features that were served otherwise than computed now, and how many rows were compared."""
    names = feature_set_of(schema).names
    places = {row_id: at for at, row_id in enumerate(snapshot["row_id"]) if row_id in served}
    whole = [row_id for row_id in places if len(served[row_id]) == 4 * len(names)]
    if not whole:
        return [], 0
    then = np.stack([np.frombuffer(served[row_id], dtype="<f4") for row_id in whole])
    now = matrix[[places[row_id] for row_id in whole]]
    differs = (then != now) & ~(np.isnan(then) & np.isnan(now))
    found = []
    for place, name in enumerate(names):
        share = float(differs[:, place].mean())
        if share > MAX_SKEWED_SHARE:
            says = f"was served otherwise in {share:.0%} of {len(whole)} rows"
            found.append(Finding("feature_skew", name, says, {"share": share}))
    return found, len(whole)
