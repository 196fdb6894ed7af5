"""Scored rows of files as decisions in the tables, as if /predict had answered them.

A row that is stored already stays as it is, and so does an earlier decision: recording a piece
twice has the effect of once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl
from sqlalchemy import Engine

from shared.bundle.manifest import Manifest
from shared.importing.files import Piece
from shared.importing.texts import read_texts
from shared.rows.row_store import DeclaredRowStore
from shared.tables.engine import database_errors, lasting_transaction
from shared.tasks import answer_function
from shared.tasks.observed import comparison_values
from usecases.declared.answers import decision_text
from usecases.declared.score_piece import PieceScorer, ScoredPiece

SENDER = "understudy score"
_DECISION = (
    "score", "component_scores", "decision", "matched_rules", "reason_codes", "model_version",
    "feature_set_version", "sent_by", "feature_vector",
)  # fmt: skip
_NOTHING = "[]"


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
