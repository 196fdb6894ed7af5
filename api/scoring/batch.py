"""Many rows as one matrix; a row that cannot be scored gets its own error."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel, ValidationError

from api.http.problems import Problem
from api.http.validation import invalid
from api.journal.entries import Decided
from api.models.loaded import LiveModel
from api.rollout.trial import Scored, Trial
from api.scoring.scorer import (
    Reply,
    Scorer,
    ScoringParts,
    milliseconds_since,
    respond,
    run_model,
    unusable,
    usable,
)
from shared.transaction import Transaction
from shared.usecase.serving import Answer, FloatMatrix, FloatVector, ScoringRoute

Instance = BaseModel | ValidationError


@dataclass(slots=True)
class _Fresh:
    """Rows nobody has seen, with their place in the request."""

    places: list[int] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    vectors: list[FloatVector] = field(default_factory=list)

    def ids(self) -> list[str]:
        return [transaction.transaction_id for transaction in self.transactions]


class BatchScorer:
    """Scores rows in the order given; each row sees those before it, as if sent one by one."""

    def __init__(self, parts: ScoringParts, scorer: Scorer) -> None:
        self._parts = parts
        self._scorer = scorer

    def score(self, instances: Sequence[Instance], route: ScoringRoute) -> Reply:
        """Answer every row, by a prediction or by its problem.

        Raises:
            Problem: no model, the model failed, or the journal is full; nothing was counted.
        """
        started = time.perf_counter()
        model = self._scorer.model()
        predictions: list[Any] = [None] * len(instances)
        accepted = self._accept(instances, predictions)
        users = {transaction.user_id for _, _, transaction in accepted}
        with self._parts.turns.of(users):
            model, again = self._score_accepted(accepted, predictions, model, route, started)
        for place, first in again.items():
            predictions[place] = predictions[first]
        body = {"predictions": predictions, "version": model.version}
        return Reply(orjson.dumps(body), model.version)

    def _accept(
        self, instances: Sequence[Instance], predictions: list[Any]
    ) -> list[tuple[int, BaseModel, Transaction]]:
        accepted = []
        for place, instance in enumerate(instances):
            try:
                if isinstance(instance, ValidationError):
                    raise invalid(instance)
                accepted.append((place, instance, self._scorer.transaction(instance)))
            except Problem as problem:
                predictions[place] = _row_error(place, problem)
        return accepted

    def _score_accepted(
        self,
        accepted: Sequence[tuple[int, BaseModel, Transaction]],
        predictions: list[Any],
        model: LiveModel,
        route: ScoringRoute,
        started: float,
    ) -> tuple[LiveModel, dict[int, int]]:
        """Fill in predictions; returns what scored, and rows that repeat another -> its place."""
        fresh = _Fresh()
        try:
            again = self._vectors(accepted, predictions, route, fresh)
            if fresh.places:
                model = self._record(fresh, predictions, model, route, started)
        except BaseException:
            self._parts.source.withdraw(fresh.ids())
            raise
        return model, again

    def _vectors(
        self,
        accepted: Sequence[tuple[int, BaseModel, Transaction]],
        predictions: list[Any],
        route: ScoringRoute,
        fresh: _Fresh,
    ) -> dict[int, int]:
        again: dict[int, int] = {}
        seen: dict[str, int] = {}
        decided = self._scorer.decided_among([(request, row) for _, request, row in accepted])
        for place, _, unstamped in accepted:
            first = seen.setdefault(unstamped.transaction_id, place)
            if first != place:
                again[place] = first
                continue
            known = decided.get(unstamped.transaction_id)
            if known is not None:
                predictions[place] = respond(route, known).body
                continue
            transaction = self._parts.turns.stamped(unstamped)
            fresh.vectors.append(self._parts.source.vector(transaction))
            self._parts.source.remember(transaction)
            fresh.transactions.append(transaction)
            fresh.places.append(place)
        return again

    def _record(
        self,
        fresh: _Fresh,
        predictions: list[Any],
        model: LiveModel,
        route: ScoringRoute,
        started: float,
    ) -> LiveModel:
        trial = self._parts.models.trial
        model, scored = self._by_arms(fresh, model, trial)
        decisions: list[tuple[Decided, Answer]] = []
        unscored: list[str] = []
        rows = zip(fresh.places, fresh.transactions, fresh.vectors, scored, strict=True)
        for place, transaction, vector, (scorer, scores) in rows:
            if not usable(scores):
                predictions[place] = _row_error(place, unusable(scorer))
                unscored.append(transaction.transaction_id)
                continue
            decided = Decided(transaction, vector, scores, scorer.served)
            answer = respond(route, decided)
            predictions[place] = answer.body
            decisions.append((decided, answer))
        self._scorer.record(decisions, milliseconds_since(started))
        self._parts.source.withdraw(unscored)
        if trial is not None:
            for decided, _ in decisions:
                trial.noted(decided, None)
        return model

    def _by_arms(
        self, fresh: _Fresh, model: LiveModel, trial: Trial | None
    ) -> tuple[LiveModel, list[Scored]]:
        """Each row's scores and who made them; the batch as a whole is the champion's."""
        matrix = np.vstack(fresh.vectors)
        found: dict[int, Scored] = {}
        if trial is not None:
            found = trial.try_candidate([row.user_id for row in fresh.transactions], matrix)
        if not found:
            model, scores = self._scores(model, matrix)
            return model, [(model, row) for row in scores]
        rest = [at for at in range(len(matrix)) if at not in found]
        if rest:
            model, scores = self._scores(model, matrix[rest])
            found |= {at: (model, row) for at, row in zip(rest, scores, strict=True)}
        return model, [found[at] for at in range(len(matrix))]

    def _scores(self, model: LiveModel, matrix: FloatMatrix) -> tuple[LiveModel, FloatMatrix]:
        """All rows by one version: another one, if it can score more of them."""
        breaker = self._parts.breaker
        try:
            scores = run_model(model, matrix)
        except Problem as failure:
            return breaker.instead(model, matrix, failure)
        if np.isfinite(scores).all():
            return model, scores
        return breaker.mended(model, matrix, scores, unusable(model))


def _row_error(place: int, problem: Problem) -> dict[str, Any]:
    return {"index": place, "error": problem.body()}
