"""Scored rows of files: through a version a whole column at a time, and into the tables.

The decisions are stored as if /predict had answered them. A row that is stored already stays as it
is, and so does an earlier decision: recording a piece twice has the effect of once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl
from sqlalchemy import Engine

from shared.bundle.archive import Bundle
from shared.bundle.manifest import Manifest
from shared.importing.files import Piece
from shared.importing.texts import read_texts
from shared.rows.convert import RowConverter
from shared.rows.encoder import feature_set_of
from shared.rows.frames import encode_frame
from shared.rows.row_store import DeclaredRowStore
from shared.scoring.model import Model, check_fits
from shared.scoring.session import load_model
from shared.tables.engine import database_errors, lasting_transaction
from shared.tasks import answer_function
from shared.tasks.answer_frame import answer_frame
from shared.tasks.observed import comparison_values
from shared.usecase.serving import FloatMatrix
from usecases.declared.answers import decision_text
from usecases.declared.serving import DeclaredServing, serving_of

ROWS_AT_ONCE = 8_192
"""Rows of one call of the graph: its intermediate results stay in the processor's cache."""

SENDER = "understudy score"
_DECISION = (
    "score", "component_scores", "decision", "matched_rules", "reason_codes", "model_version",
    "feature_set_version", "sent_by", "feature_vector",
)  # fmt: skip
_NOTHING = "[]"


class ScoredPiece(NamedTuple):
    """A piece with its answers.

    Attributes:
        made: one line a row, as in the output.
        values: the declared columns and event_time, and row_id where the piece has it.
        vectors: the whole feature set.
        scores: (rows, components).
    """

    made: pl.DataFrame
    values: pl.DataFrame
    vectors: FloatMatrix
    scores: FloatMatrix


@dataclass(frozen=True, slots=True)
class PieceScorer:
    """Scores pieces with one version."""

    use_case: DeclaredServing
    model: Model
    columns: npt.NDArray[np.intp]
    converter: RowConverter

    @classmethod
    def of(cls, folder: Path, bundle: Bundle, now_us: int) -> "PieceScorer":
        """A scorer from a folder's declaration and a bundle whose signature holds.

        Rows without a time are scored as of `now_us`.

        Raises:
            ModelLoadError: the bundle does not fit the declaration, or does not load.
        """
        use_case = serving_of(folder)
        check_fits(bundle.manifest, use_case)
        names = feature_set_of(use_case.row_schema).names
        columns = np.array([names.index(one) for one in bundle.manifest.feature_names])
        model = load_model(bundle, allow_pickle=False)
        return cls(use_case, model, columns, RowConverter(use_case.declared, now_us))

    def score(self, piece: Piece) -> pl.DataFrame:
        """One line a row, in order: its position, its id, and the answer or the error."""
        return self.scored(piece).made

    def scored(self, piece: Piece) -> ScoredPiece:
        """The same, with what the answers rest on."""
        schema, manifest = self.use_case.row_schema, self.model.manifest
        values, problems = self.converter.inputs(piece)
        vectors = encode_frame(schema, values)
        scores = self._scores(vectors[:, self.columns])
        answers = answer_frame(schema.task, manifest.components, manifest.thresholds, scores)
        unusable = pl.Series(~np.isfinite(scores).all(axis=1))
        why = pl.DataFrame({"problem": problems, "unusable": unusable}).select(
            pl.coalesce(
                "problem", pl.when("unusable").then(pl.lit("the model gave no usable score"))
            ).alias("error")
        )["error"]
        has_answer = why.is_null()
        answered = answers.select(pl.when(has_answer).then(pl.all()))
        about = {"row": piece.rows}
        if schema.roles.row_id is not None:
            nobody = pl.Series([None] * values.height, dtype=pl.String)
            about["row_id"] = values["row_id"] if "row_id" in values.columns else nobody
        limits = [
            pl.lit(limit, dtype=pl.Float64).alias(f"threshold_{name}")
            for name, limit in manifest.thresholds.items()
        ]
        made = pl.concat([pl.DataFrame(about), answered], how="horizontal")
        made = made.with_columns(
            why.alias("error"), pl.lit(manifest.version).alias("version"), *limits
        )
        return ScoredPiece(made, values, vectors, scores)

    def _scores(self, matrix: FloatMatrix) -> FloatMatrix:
        parts = [
            self.model.score(np.ascontiguousarray(matrix[at : at + ROWS_AT_ONCE]))
            for at in range(0, len(matrix), ROWS_AT_ONCE)
        ]
        empty = np.empty((0, len(self.model.manifest.components)), dtype=np.float32)
        return np.concatenate(parts) if parts else empty


@dataclass(frozen=True, slots=True)
class DecisionRecorder:
    """Stores the answers of one version; the tables are there.

    Attributes:
        now_us: when the rows are said to have come in.
    """

    engine: Engine
    store: DeclaredRowStore
    scorer: PieceScorer
    now_us: int

    def record(self, piece: Piece, scored: ScoredPiece) -> int:
        """Store the rows of a piece that have an id and an answer; returns how many they are.

        Raises:
            DataUnavailable: the database cannot be written; recording again is harmless.
        """
        records = list(self._records(piece, scored))
        columns = (*self.store.columns, *_DECISION)
        with database_errors("record decisions"), lasting_transaction(self.engine) as connection:
            self.store.write_decisions(connection, columns, records)
        return len(records)

    def _records(self, piece: Piece, scored: ScoredPiece) -> Iterator[tuple[Any, ...]]:
        use_case, manifest = self.scorer.use_case, self.scorer.model.manifest
        task, names = use_case.task, use_case.row_schema.names
        answer = answer_function(task, manifest.components, manifest.thresholds)
        values = scored.values.select("row_id", *names, "event_time").with_columns(
            self._entities(piece).alias("entity:")
        )
        is_recorded = scored.made["error"].is_null() & values["row_id"].is_not_null()
        compared = comparison_values(task, scored.scores).tolist()
        for at in is_recorded.arg_true():
            row_id, *row, event_time, entity = values.row(at)
            outputs = scored.scores[at].tolist()
            yield (
                row_id,
                entity or row_id,
                event_time,
                self.now_us,
                *row,
                compared[at],
                _as_text(manifest, outputs),
                decision_text(task.kind, answer(outputs)),
                _NOTHING,
                _NOTHING,
                manifest.version,
                use_case.feature_set.version,
                SENDER,
                scored.vectors[at].astype("<f4").tobytes(),
            )

    def _entities(self, piece: Piece) -> pl.Series:
        name = self.scorer.use_case.row_schema.roles.entity
        if name is None or name not in piece.frame.columns:
            return pl.Series([None], dtype=pl.String).new_from_index(0, piece.frame.height)
        return read_texts(piece.frame[name], is_identifier=True, is_numeric=False)


def _as_text(manifest: Manifest, outputs: list[float]) -> str:
    return orjson.dumps(dict(zip(manifest.components, outputs, strict=True))).decode()
