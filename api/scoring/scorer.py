"""One row from request to recorded answer. Synchronous: the caller decides where it runs."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from pydantic import BaseModel

from api.http.problems import JOURNAL_FULL, NO_MODEL, SCORING_FAILED, Problem
from api.http.validation import senseless
from api.journal.entries import Decided, encode_decision
from api.journal.journal import Journal, JournalFull
from api.metrics import Metrics
from api.models.breaker import Breaker
from api.models.live import ModelHolder
from api.models.loaded import LiveModel
from api.scoring.cache import DecidedCache
from api.scoring.lookup import DecisionLookup
from api.scoring.turns import Turns
from shared.clock import Clock
from shared.transaction import Transaction
from shared.usecase.serving import (
    Answer,
    FeatureSource,
    FloatMatrix,
    FloatVector,
    ScoringRoute,
    ServingUseCase,
)

_RETRY = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer's bytes and the version that made it."""

    body: bytes
    version: str


@dataclass(frozen=True, slots=True)
class ScoringParts:
    """What scoring needs; made once by the composition root.

    Attributes:
        clock: never tells the same instant twice, so that ingestion is a total order.
    """

    use_case: ServingUseCase
    source: FeatureSource
    models: ModelHolder
    breaker: Breaker
    journal: Journal
    cache: DecidedCache
    lookup: DecisionLookup
    turns: Turns
    clock: Clock
    metrics: Metrics


class Scorer:
    """Scores one row; a row seen before is answered as before and not counted again."""

    def __init__(self, parts: ScoringParts) -> None:
        self._parts = parts
        self._feature_set_version = parts.use_case.feature_set.version

    def score(self, request: BaseModel, route: ScoringRoute) -> Reply:
        """Answer one row.

        Raises:
            Problem: no model, senseless input, no usable score, or the journal is full.
        """
        started = time.perf_counter()
        model = self.model()
        transaction = self.transaction(request)
        with self._parts.turns.of((transaction.user_id,)):
            known = self.decided_before(request, transaction)
            if known is not None:
                return Reply(orjson.dumps(respond(route, known).body), known.served.version)
            return self._first_time(transaction, model, route, started)

    def model(self) -> LiveModel:
        model = self._parts.models.live
        if model is None:
            raise Problem(NO_MODEL, "the first model has not been promoted yet", headers=_RETRY)
        return model

    def transaction(self, request: BaseModel) -> Transaction:
        """Raises Problem when the request is well-typed but makes no sense."""
        try:
            return self._parts.use_case.to_transaction(request, self._parts.clock.now_us())
        except ValueError as error:
            raise senseless(error) from error

    def decided_before(self, request: BaseModel, transaction: Transaction) -> Decided | None:
        """Only ids that the caller chose can come twice."""
        if not _is_named(request):
            return None
        transaction_id = transaction.transaction_id
        return self._parts.cache.get(transaction_id) or self._parts.lookup.find(transaction_id)

    def decided_among(self, rows: Sequence[tuple[BaseModel, Transaction]]) -> dict[str, Decided]:
        """The same for many rows, with one question to the database."""
        parts = self._parts
        ids = [row.transaction_id for request, row in rows if _is_named(request)]
        decided = {name: parts.cache.get(name) for name in ids}
        unknown = [name for name, kept in decided.items() if kept is None]
        decided |= {name: parts.lookup.find(name) for name in parts.lookup.stored(unknown)}
        return {name: known for name, known in decided.items() if known is not None}

    def record(self, decisions: Sequence[tuple[Decided, Answer]], latency_ms: float) -> None:
        """Journal decisions, all or none, and make them known to what is scored later.

        Raises:
            Problem: they could not be kept, so they were not made.
        """
        parts = self._parts
        version = self._feature_set_version
        records = [
            encode_decision(decided, answer, version, latency_ms) for decided, answer in decisions
        ]
        try:
            parts.journal.append(records)
        except JournalFull as error:
            raise Problem(JOURNAL_FULL, str(error), headers=_RETRY) from error
        for record, (decided, answer) in zip(records, decisions, strict=True):
            parts.cache.put(decided.transaction.transaction_id, record, decided.served)
            parts.metrics.decided(answer.decision)

    def _first_time(
        self, transaction: Transaction, model: LiveModel, route: ScoringRoute, started: float
    ) -> Reply:
        parts = self._parts
        transaction = parts.turns.stamped(transaction)
        vector = parts.source.vector(transaction)
        trial, tried = parts.models.trial, None
        if trial is not None:
            tried = trial.try_candidate((transaction.user_id,), vector.reshape(1, -1)).get(0)
        model, scores = tried or self._scores(model, vector)
        decided = Decided(transaction, vector, scores, model.served)
        answer = respond(route, decided)
        body = orjson.dumps(answer.body)
        self.record(((decided, answer),), milliseconds_since(started))
        parts.source.remember(transaction)
        if trial is not None:
            trial.noted(decided, milliseconds_since(started))
        return Reply(body, model.version)

    def _scores(self, model: LiveModel, vector: FloatVector) -> tuple[LiveModel, FloatVector]:
        """The row's scores and the version that made them, which is another if this one fails."""
        matrix = vector.reshape(1, -1)
        try:
            scores = run_model(model, matrix)[0]
            if not usable(scores):
                raise unusable(model)
        except Problem as failure:
            model, mended = self._parts.breaker.instead(model, matrix, failure)
            return model, mended[0]
        return model, scores


def _is_named(request: BaseModel) -> bool:
    return "transaction_id" in request.model_fields_set


def respond(route: ScoringRoute, decided: Decided) -> Answer:
    return route.respond(decided.transaction, decided.vector, decided.scores, decided.served)


def run_model(model: LiveModel, matrix: FloatMatrix) -> FloatMatrix:
    """Scores of a matrix.

    Raises:
        Problem: the model failed.
    """
    try:
        return model.score(matrix)
    except Exception as error:
        raise Problem(SCORING_FAILED, f"version {model.version} failed to score") from error


def usable(scores: FloatMatrix) -> bool:
    """Whether every component is finite; cheaper than numpy for a handful of numbers."""
    return all(map(math.isfinite, scores.tolist()))


def unusable(model: LiveModel) -> Problem:
    return Problem(SCORING_FAILED, f"version {model.version} answered with NaN or infinity")


def milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1_000, 3)
