"""One decision for people: what was stored, why, and what the live version says of its row.

A decision that was just made is on its way to the database, and found in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine, select

from api.database import Database
from api.decision_explainer import DecidedRow, DecisionExplainer, finite
from api.journal.entries import RecordFormat, quarantine_key
from api.models.build import ModelParts
from api.models.model_slot import LiveModel
from api.scoring.idempotency import DecisionCache
from shared.clock import isoformat
from shared.contracts.decisions import (
    ChampionView,
    DecisionView,
    Explanation,
    LabelView,
    RouteAnswer,
    ThresholdView,
)
from shared.errors import UnderstudyError
from shared.tables.engine import database_errors
from shared.usecase.rows import RowStore
from shared.usecase.serving import FloatVector, ServedModel, ServingUseCase

_MOST_LABELS = 100
_SCORE = "score"
_GONE = {"version": "the row has no vector, or one of a feature set that is not known here"}


@dataclass(frozen=True, slots=True)
class FoundDecision:
    """A decided row by its columns, and the labels that a later one replaced.

    Attributes:
        is_stored: the database has it.
    """

    values: Mapping[str, Any]
    is_quarantined: bool
    is_stored: bool
    labels: tuple[LabelView, ...]

    @property
    def label(self) -> LabelView | None:
        """The label that holds."""
        values = self.values
        if values.get("label") is None or values.get("label_known_at") is None:
            return None
        return LabelView(
            value=shown_label(values["label"]),
            known_at=isoformat(values["label_known_at"]),
            source=values.get("label_source"),
            sent_by=values.get("label_sent_by"),
        )


class DecisionReader:
    """Reads decisions of one use case by the ids of their rows."""

    def __init__(self, engine: Engine, records: RecordFormat, cache: DecisionCache) -> None:
        self._engine = engine
        self._records = records
        self._cache = cache

    def find(self, row_id: str) -> FoundDecision | None:
        """The decision about a row; one of a trusted caller goes before a quarantined one.

        Raises:
            DataUnavailable: the database cannot be read, and memory does not have it.
        """
        for quarantined in (False, True):
            found = self._find(row_id, is_quarantined=quarantined)
            if found is not None:
                return found
        return None

    def _find(self, row_id: str, *, is_quarantined: bool) -> FoundDecision | None:
        key = quarantine_key(row_id) if is_quarantined else row_id
        # the cache before the database: a row drained in between is found twice, not missed
        waiting = self._cache.values(key)
        row = self._stored(row_id, is_quarantined=is_quarantined) if waiting is None else None
        if row is not None:
            return FoundDecision(row, is_quarantined, True, self._labels(row_id))
        if waiting is None:
            return None
        return FoundDecision(waiting, is_quarantined, False, ())

    def _stored(self, row_id: str, *, is_quarantined: bool) -> Mapping[str, Any] | None:
        table = self._records.rows.decided(quarantined=is_quarantined)
        query = select(table).where(table.c[self._records.columns[0]] == row_id)
        with database_errors("read a decision"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else dict(row)

    def _labels(self, row_id: str) -> tuple[LabelView, ...]:
        table = self._records.rows.label_changes
        query = (
            select(
                table.c.label,
                table.c.label_known_at,
                table.c.label_source,
                table.c.label_sent_by,
                table.c.replaced_at,
            )
            .where(table.c[self._records.columns[0]] == row_id)
            .order_by(table.c.changeid.desc())
            .limit(_MOST_LABELS)
        )
        with database_errors("read replaced labels"), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return tuple(
            LabelView(
                value=shown_label(label),
                known_at=isoformat(known_at),
                source=source,
                sent_by=sent_by,
                replaced_at=isoformat(replaced_at),
            )
            for label, known_at, source, sent_by, replaced_at in rows
        )


def shown_label(stored: Any) -> Any:
    """A label for JSON; a ranking's items are stored as bytes."""
    if not isinstance(stored, bytes):
        return stored
    return [None if np.isnan(one) else float(one) for one in np.frombuffer(stored, dtype="<f4")]


class DecisionViews:
    """Decisions of one use case for people, and for whom they are about."""

    def __init__(
        self,
        use_case: ServingUseCase,
        rows: RowStore,
        reader: DecisionReader,
        explainer: DecisionExplainer,
        models: ModelParts,
    ) -> None:
        self._use_case = use_case
        self._rows = rows
        self._reader = reader
        self._explainer = explainer
        self._registry = models.registry
        self._slot = models.slot

    def of(self, row_id: str) -> DecisionView | None:
        """The decision about a row; None: there is none.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        found = self._reader.find(row_id)
        if found is None:
            return None
        values = found.values
        vector, features = self._features(values)
        scores = {name: float(one) for name, one in (values["component_scores"] or {}).items()}
        version = str(values["model_version"])
        thresholds = self._registry.thresholds(version)
        model = ServedModel(version, tuple(scores), thresholds)
        row = self._rows.row(values)
        return DecisionView(
            row_id=row_id,
            use_case=self._use_case.name,
            is_quarantined=found.is_quarantined,
            is_stored=found.is_stored,
            decided_at=isoformat(values.get("decided_at") or values["ingested_at"]),
            sent_by=values.get("sent_by"),
            row=self._rows.shown(values),
            decision=values["decision"],
            score=finite(values["score"]),
            component_scores={name: finite(one) or 0.0 for name, one in scores.items()},
            thresholds=_compared(thresholds, values["score"], scores),
            matched_rules=list(values["matched_rules"] or ()),
            reason_codes=[dict(one) for one in values["reason_codes"] or ()],
            model_version=version,
            feature_set_version=values["feature_set_version"],
            latency_ms=finite(values["latency_ms"]),
            features={name: finite(number) for name, number in features.items()},
            label=None if found.label is None else self._named(found.label),
            earlier_labels=[self._named(one) for one in found.labels],
            explanation=self._explanation(DecidedRow(row, model, features, scores)),
            champion=self._champion(found, row, vector),
        )

    def _named(self, label: LabelView) -> LabelView:
        return label.model_copy(update={"name": self._rows.label_name(label.value)})

    def _features(self, values: Mapping[str, Any]) -> tuple[FloatVector, dict[str, float]]:
        """The vector as it was served, and its numbers by name; empty where it is not known."""
        names = self._use_case.feature_set.names_of(values["feature_set_version"])
        raw = values["feature_vector"]
        vector = np.frombuffer(raw or b"", dtype="<f4")
        if len(vector) != len(names):
            return np.empty(0, dtype=np.float32), {}
        return vector, dict(zip(names, vector.tolist(), strict=True))

    def _explanation(self, decided: DecidedRow) -> Explanation:
        if not decided.features:
            return Explanation(
                version=decided.model.version, parts=[], explained_share={}, not_explained=_GONE
            )
        return self._explainer.explained(decided)

    def _champion(self, found: FoundDecision, row: Any, vector: FloatVector) -> ChampionView | None:
        live = self._slot.live
        if live is None:
            return None
        needed = len(self._use_case.feature_set.names)
        if live.columns is not None and len(live.columns):
            needed = int(live.columns.max()) + 1
        if len(vector) < needed:
            return _unavailable(live, found, "the stored vector lacks features that it reads")
        try:
            scores = self._scored(live, vector)
        except (UnderstudyError, ValueError, RuntimeError) as error:
            return _unavailable(live, found, f"it cannot score this vector: {error}")
        if not np.isfinite(scores).all():
            return _unavailable(live, found, "its scores of this vector are NaN or infinite")
        by_name = dict(zip(live.served.components, scores.tolist(), strict=True))
        answers = [
            _answered(route.path, route.respond(row, vector, scores, live.served))
            for route in self._use_case.routes
        ]
        headline = answers[0].score if answers else None
        return ChampionView(
            version=live.version,
            decided_this_row=live.version == found.values["model_version"],
            component_scores=by_name,
            thresholds=_compared(live.served.thresholds, headline, by_name),
            answers=answers,
            unavailable=None,
        )

    def _scored(self, live: LiveModel, vector: FloatVector) -> FloatVector:
        matrix = vector[None, :]
        # not `live.score`: its latency estimate counts only rows that callers wait for
        inputs = matrix if live.columns is None else matrix[:, live.columns]
        scores: FloatVector = live.model.score(np.ascontiguousarray(inputs))[0]
        return scores


def build_decisions(
    use_case: ServingUseCase,
    database: Database,
    models: ModelParts,
    cache: DecisionCache,
    records: RecordFormat,
) -> DecisionViews:
    """Reads what it needs at the first question, so that the start costs nothing."""
    rules = [route.reasons for route in use_case.routes if route.reasons is not None]
    return DecisionViews(
        use_case,
        records.rows,
        DecisionReader(database.engine, records, cache),
        DecisionExplainer(models.loader, rules[0] if rules else None),
        models,
    )


def _answered(path: str, answer: Any) -> RouteAnswer:
    return RouteAnswer(
        path=path,
        decision=answer.decision,
        score=float(answer.score),
        matched_rules=list(answer.matched_rules),
        reason_codes=[dict(one) for one in answer.reason_codes],
    )


def _unavailable(live: LiveModel, found: FoundDecision, why: str) -> ChampionView:
    return ChampionView(
        version=live.version,
        decided_this_row=live.version == found.values["model_version"],
        component_scores=None,
        thresholds=[],
        answers=[],
        unavailable=why,
    )


def _compared(
    thresholds: Mapping[str, float], score: float | None, scores: Mapping[str, float]
) -> list[ThresholdView]:
    """Each threshold beside its score: a component's own, or else the headline score."""
    found = []
    for name, limit in thresholds.items():
        value = finite(scores.get(name, score))
        if not np.isfinite(limit):
            continue
        found.append(
            ThresholdView(
                name=name,
                threshold=limit,
                compared_with=name if name in scores else _SCORE,
                value=value,
                is_reached=None if value is None else value >= limit,
            )
        )
    return found
