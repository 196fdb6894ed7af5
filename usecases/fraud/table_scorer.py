"""Transactions of files through a version: their features come from stored history and each other.

Each row is scored as if it had come at its own event time: it sees stored rows that had been
ingested by then and rows of the files that happened earlier, exactly as in training. Labels in
the files are not read. A row that is stored already keeps its first ingestion time. On request the
answers are stored as decisions about rows that came in at that time: training gives them the same
features.
"""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine

from shared.bundle.archive import Bundle
from shared.importing.convert import NUMBERS, TEXTS, convert
from shared.importing.files import PLACES, SourceTable
from shared.importing.mapping import REQUIRED, TARGETS, Mapping, MappingError
from shared.importing.profile import look_over
from shared.scoring.model import Model
from shared.scoring.session import load_model
from shared.tables.bulk import seen_rows
from shared.tables.engine import database_errors, lasting_transaction, to_json
from shared.tables.locks import lock_for_writing
from shared.tables.schema import transaction_history_logs
from shared.tables.tiles import Seen
from shared.tables.transaction_store import TRANSACTIONS
from shared.transaction import Transaction
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel

from .answers.predict import predict
from .features import batch
from .features.catalogue import FEATURE_SET
from .judgement import Decision, judgements
from .training.snapshot import SCHEMA, read_snapshot

_LABEL = tuple(name for name in SCHEMA if name.startswith("label"))
_TABLE, _ERROR = "table", "error"
SENDER = "understudy score"
_DECISION = (
    "score", "component_scores", "decision", "matched_rules", "reason_codes", "model_version",
    "feature_set_version", "sent_by", "feature_vector",
)  # fmt: skip
_INGESTED_AT = TRANSACTIONS.columns.index("ingested_at")
_Record = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of files in their order.

    Attributes:
        places: the number of the table, the row in it, the id, and why the row is not scored.
        accepted: the others as transactions, in the same order, each id once.
    """

    places: pl.DataFrame
    accepted: pl.DataFrame


def own_mapping(tables: Sequence[SourceTable]) -> Mapping:
    """The mapping of files whose columns have our names.

    Raises:
        MappingError: a required column is missing.
    """
    present = [table.column_names() for table in tables]
    common = [name for name in TARGETS if all(name in names for names in present)]
    missing = [name for name in REQUIRED if name not in common]
    if missing:
        raise MappingError(
            f"the files have no column {', '.join(missing)}: name theirs in a mapping and add "
            "--mapping FILE (`understudy mapping FILE` proposes one)"
        )
    return Mapping(columns={name: name for name in common if name not in _LABEL})


def read_rows(tables: Sequence[SourceTable], mapping: Mapping, now_us: int) -> FileRows:
    """All rows of the tables, which have to fit into memory.

    Raises:
        MappingError: the mapping does not fit the files, or leaves a column's meaning open.
        DataUnavailable: a file cannot be read.
    """
    columns = {ours: theirs for ours, theirs in mapping.columns.items() if ours not in _LABEL}
    mapping = mapping.model_copy(update={"columns": columns})
    readings = look_over(tables, mapping, NUMBERS, TEXTS)
    places, accepted = [], []
    for number, table in enumerate(tables):
        mapping.check_against(table.column_names(), table.name)
        for piece in table.pieces(mapping.sources):
            converted = convert(piece, mapping, readings, now_us)
            refused = converted.rejected.select(PLACES[0], pl.col("reason").alias(_ERROR))
            rows = pl.DataFrame({PLACES[0]: piece.rows}).join(
                refused, on=PLACES[0], how="left", maintain_order="left"
            )
            is_good = rows[_ERROR].is_null()
            ids = pl.Series([None], dtype=pl.String).new_from_index(0, rows.height)
            ids = ids.scatter(is_good.arg_true(), converted.accepted["transaction_id"])
            table_number = pl.lit(number, dtype=pl.Int64).alias(_TABLE)
            places.append(rows.with_columns(table_number, ids.alias("transaction_id")))
            accepted.append(converted.accepted.select(_of_rows()))
    empty = pl.DataFrame(
        schema={
            PLACES[0]: pl.Int64,
            _ERROR: pl.String,
            _TABLE: pl.Int64,
            "transaction_id": pl.String,
        }
    )
    return _each_once(pl.concat([empty, *places]), pl.concat([SCHEMA.to_frame(), *accepted]))


def features(engine: Engine, rows: pl.DataFrame, as_of_us: int) -> FloatMatrix:
    """The vectors of accepted rows, in their order.

    Raises:
        DataUnavailable: stored history cannot be read.
    """
    stored = read_snapshot(engine, as_of_us)
    known = stored.select("transaction_id", "ingested_at", *_LABEL)
    again = known.join(rows, on="transaction_id", how="semi")
    history = stored.join(again, on="transaction_id", how="anti")
    if again.height:
        rows = rows.update(again, on="transaction_id", how="left")
    matrix = batch.compute(pl.concat([rows, history.select(rows.columns)]))
    return matrix[: rows.height]


@dataclass(frozen=True, slots=True)
class TableScorer:
    """Answers rows with one version; safe to be used by several threads."""

    model: Model
    columns: npt.NDArray[np.intp]

    @classmethod
    def of(cls, bundle: Bundle) -> "TableScorer":
        """A scorer from a bundle that fits the use case.

        Raises:
            ModelLoadError: it does not load.
        """
        names = list(FEATURE_SET.names)
        wanted = [names.index(name) for name in bundle.manifest.feature_names]
        return cls(load_model(bundle, allow_pickle=False), np.array(wanted))

    def scores(self, matrix: FloatMatrix) -> FloatMatrix:
        """A line of the components' scores for each vector."""
        return self.model.score(np.ascontiguousarray(matrix[:, self.columns]))

    def answers(self, scores: FloatMatrix) -> pl.DataFrame:
        """The answers of /predict, a line for each row; null if a score is not a number."""
        manifest = self.model.manifest
        found = judgements(scores, manifest.components, manifest.thresholds)
        decisions = pl.Series([Decision.APPROVE, Decision.REVIEW, Decision.BLOCK], dtype=pl.String)
        is_usable = pl.Series(np.isfinite(scores).all(axis=1))
        answered = pl.DataFrame(
            {
                "is_fraud": found.decision == 2,
                "probability": found.probability,
                "is_outlier": found.is_outlier,
                "anomaly_score": found.anomaly_score,
                "review_required": found.decision == 1,
                "decision": decisions.gather(found.decision),
            }
        )
        return answered.select(pl.when(is_usable).then(pl.all()))


@dataclass(frozen=True, slots=True)
class DecisionRecorder:
    """Stores answers of one version as decisions; a decision that is there stays as it is."""

    engine: Engine
    served: ServedModel

    def record(self, rows: pl.DataFrame, matrix: FloatMatrix, scores: FloatMatrix) -> None:
        """Store accepted rows whose scores are numbers.

        Raises:
            DataUnavailable: the database cannot be written; recording again is harmless.
        """
        usable = np.flatnonzero(np.isfinite(scores).all(axis=1))
        read = rows.select(TRANSACTIONS.columns)[usable].iter_rows(named=True)
        made = [
            self._record(TRANSACTIONS.row(row), matrix[at], scores[at])
            for at, row in zip(usable.tolist(), read, strict=True)
        ]
        columns = (*TRANSACTIONS.columns, *_DECISION)
        with database_errors("record decisions"), lasting_transaction(self.engine) as connection:
            lock_for_writing(connection)
            known = seen_rows(connection, transaction_history_logs, [row[0] for row in made])
            TRANSACTIONS.write_decisions(connection, columns, [_as_known(r, known) for r in made])

    def _record(self, row: Transaction, vector: FloatVector, scores: FloatVector) -> _Record:
        answer = predict(row, vector, scores, self.served)
        return (
            *TRANSACTIONS.values(row),
            answer.score,
            to_json(dict(zip(self.served.components, scores.tolist(), strict=True))),
            answer.decision,
            to_json(list(answer.matched_rules)),
            to_json(list(answer.reason_codes)),
            self.served.version,
            FEATURE_SET.version,
            SENDER,
            vector.astype("<f4").tobytes(),
        )


def _as_known(record: _Record, known: MappingOf[str, Seen]) -> _Record:
    """The record with the ingestion of the stored copy: neighbours keep their past."""
    copy = known.get(record[0])
    if copy is None:
        return record
    return (*record[:_INGESTED_AT], copy.ingested_at, *record[_INGESTED_AT + 1 :])


def recorder(engine: Engine, bundle: Bundle) -> DecisionRecorder:
    """The recorder of answers of a bundle's version; the tables exist."""
    manifest = bundle.manifest
    served = ServedModel(manifest.version, manifest.components, manifest.thresholds)
    return DecisionRecorder(engine, served)


def scorer(bundle: Bundle) -> TableScorer:
    """The scorer of rows; raises ModelLoadError if the bundle does not load."""
    return TableScorer.of(bundle)


def _of_rows() -> list[pl.Expr]:
    """Columns of the snapshot out of those of an import, without labels."""
    return [
        (pl.lit(None) if name in _LABEL else pl.col(name)).cast(dtype).alias(name)
        for name, dtype in SCHEMA.items()
    ]


def _each_once(places: pl.DataFrame, accepted: pl.DataFrame) -> FileRows:
    """An id counts where it comes first; later rows of it are not scored and say so."""
    is_first = accepted["transaction_id"].is_first_distinct()
    if is_first.all():
        return FileRows(places, accepted)
    again = places[_ERROR].is_null().arg_true().filter(~is_first)
    text = "transaction_id comes earlier in the files: each row needs an id of its own"
    errors = places[_ERROR].scatter(again, text)
    return FileRows(places.with_columns(errors.alias(_ERROR)), accepted.filter(is_first))
