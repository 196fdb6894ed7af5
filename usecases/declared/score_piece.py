"""Rows of a file through a version: values, vectors, scores, answers, a whole column at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.bundle.archive import Bundle
from shared.importing.files import Piece
from shared.rows.convert import RowConverter
from shared.rows.encoder import feature_set_of
from shared.rows.frames import encode_frame
from shared.scoring.loading import load_model
from shared.scoring.model import Model, check_fits
from shared.tasks.answer_frame import answer_frame
from shared.usecase.serving import FloatMatrix
from usecases.declared.serving import DeclaredServing, serving_of

ROWS_AT_ONCE = 8_192
"""Rows of one call of the graph: its intermediate results stay in the processor's cache."""


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
