"""The choice of the version that scores a row: live version, one on trial, or fallback.

For a fresh version, its predecessor decides a few of the same rows as well.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from api.http.problems import SCORING_FAILED, Problem
from api.journal.entries import Decided
from api.models.breaker import Breaker
from api.models.comparison import Comparison
from api.models.model_slot import LiveModel, ModelScores, Trial, usable
from api.scoring.stages import Accepted, Featured, Scored, answer_of
from shared.usecase.serving import FloatMatrix, FloatVector

Blame = Callable[[LiveModel, Problem], None]


class Isolation(Enum):
    """Rows of one matrix are answered together, or so that none influences its neighbours."""

    PER_ROW = "per-row"
    """Rows of different callers: one that cannot be scored must not change the others."""

    WHOLE_BATCH = "whole-batch"
    """Rows of one caller: one version answers them all."""


@dataclass(frozen=True, slots=True)
class RoutedScores:
    """Every row's scores and the version that made them.

    Attributes:
        all_usable: every number is finite.
        champion: the version that scored the rows no candidate took; it names the batch.
        seconds: what each version's part took, by version.
    """

    rows: Sequence[ModelScores]
    all_usable: bool
    champion: LiveModel
    seconds: dict[str, float]

    def own_milliseconds(self, scored: Scored, now: float) -> float:
        """The latency of a row, without the time its neighbours' version took meanwhile."""
        own = self.seconds.get(scored.decided.served.version, 0.0)
        others = sum(self.seconds.values()) - own
        return round((now - scored.row.received.started - others) * 1e3, 3)


class ModelRouter:
    """Scores matrices; users are known by their ids only.

    `isolation`: the rows are of different callers, so none may be answered by another version
    because of its neighbour: a matrix with a row that cannot be scored is refused.
    """

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def score(
        self,
        model: LiveModel,
        trial: Trial | None,
        users: Sequence[str],
        matrix: FloatMatrix,
        *,
        isolation: Isolation,
    ) -> RoutedScores:
        """Scores of the rows of these users.

        Raises:
            Problem: no version can score them.
        """
        if trial is not None:
            return self._on_trial(model, trial, users, matrix, isolation=isolation)
        began = time.perf_counter()
        model, scores, all_usable = self._champions(model, matrix, isolation=isolation)
        seconds = {model.version: time.perf_counter() - began}
        return RoutedScores([(model, row) for row in scores], all_usable, model, seconds)

    def blame(self, failing: LiveModel, failure: Problem) -> None:
        """A row that a version scored but could not answer, and another version could."""
        self._breaker.blame(failing, failure)

    def _on_trial(
        self,
        model: LiveModel,
        trial: Trial,
        users: Sequence[str],
        matrix: FloatMatrix,
        *,
        isolation: Isolation,
    ) -> RoutedScores:
        began = time.perf_counter()
        found = trial.try_candidate(users, matrix)
        seconds = {trial.version: time.perf_counter() - began}
        all_usable = True
        rest = [at for at in range(len(matrix)) if at not in found]
        if rest:
            began = time.perf_counter()
            part = matrix if len(rest) == len(matrix) else matrix[rest]
            model, scores, all_usable = self._champions(model, part, isolation=isolation)
            found |= {at: (model, row) for at, row in zip(rest, scores, strict=True)}
            seconds[model.version] = time.perf_counter() - began
        return RoutedScores([found[at] for at in range(len(matrix))], all_usable, model, seconds)

    def _champions(
        self, model: LiveModel, matrix: FloatMatrix, *, isolation: Isolation
    ) -> tuple[LiveModel, FloatMatrix, bool]:
        """All rows by one version, another one if it can score more; whether all are usable."""
        try:
            scores = run_model(model, matrix)
        except Problem as failure:
            if isolation is Isolation.PER_ROW and len(matrix) > 1:
                raise
            return (*self._breaker.instead(model, matrix, failure), True)
        if model.pace.last_row_seconds > self._breaker.row_seconds:
            self._breaker.overran(model, matrix, model.pace.last_row_seconds)
        if np.isfinite(scores).all():
            return model, scores, True
        if isolation is Isolation.PER_ROW and len(matrix) > 1:
            raise unusable(model)
        model, scores = self._breaker.mended(model, matrix, scores, unusable(model))
        return model, scores, bool(np.isfinite(scores).all())


def run_model(model: LiveModel, matrix: FloatMatrix) -> FloatMatrix:
    """Scores of a matrix.

    Raises:
        Problem: the model failed.
    """
    try:
        return model.score(matrix)
    except Exception as error:
        raise Problem(SCORING_FAILED, f"version {model.version} failed to score") from error


def unusable(model: LiveModel) -> Problem:
    return Problem(SCORING_FAILED, f"version {model.version} answered with NaN or infinity")


def answered(
    featured: Featured, scores: RoutedScores, fallback: LiveModel | None, blame: Blame
) -> tuple[list[Scored], list[tuple[Accepted, Problem]]]:
    """Decide every row that has usable scores; the others, with their problems, come second."""
    scored: list[Scored] = []
    unscored: list[tuple[Accepted, Problem]] = []
    for row, vector, (model, values) in zip(
        featured.rows, featured.matrix, scores.rows, strict=True
    ):
        if not (scores.all_usable or usable(values)):
            unscored.append((row, unusable(model)))
            continue
        try:
            scored.append(_decide(row, vector, values, model))
        except Exception as error:  # noqa: BLE001 - raised again where no version can answer
            scored.append(_answer_instead(row, vector, model, fallback, error))
            detail = f"version {model.version} failed to answer: {type(error).__name__}"
            blame(model, Problem(SCORING_FAILED, detail))
    return scored, unscored


def compare(
    scored: Sequence[Scored],
    matrix: FloatMatrix,
    scores: RoutedScores,
    comparison: Comparison | None,
) -> None:
    """Scores a sample of the same rows with the predecessor as well."""
    if comparison is None or time.perf_counter() < comparison.due:
        return
    live = scores.champion
    if comparison.live.version != live.version or len(scored) < len(matrix):
        return

    def decide(place: int, values: FloatVector, model: LiveModel) -> str:
        return _decide(scored[place].row, matrix[place], values, model).answer.decision

    # Quarantined rows are left out here as everywhere.
    decisions = [None if row.is_quarantined else answer.decision for row, _, answer in scored]
    comparison.repeat(matrix, scores.seconds[live.version], decisions, decide)


def _decide(row: Accepted, vector: FloatVector, scores: FloatVector, model: LiveModel) -> Scored:
    received = row.received
    decided = Decided(row.transaction, vector, scores, model.served, received.caller.name)
    return Scored(row, decided, answer_of(received.route, decided))


def _answer_instead(
    row: Accepted,
    vector: FloatVector,
    failing: LiveModel,
    fallback: LiveModel | None,
    error: Exception,
) -> Scored:
    """The fallback's answer, where a version's scores or thresholds give none.

    Raises:
        Exception: the failure itself, when the fallback cannot answer the row either.
    """
    if fallback is None or fallback.version == failing.version:
        raise error
    try:
        return _decide(row, vector, fallback.score(vector[np.newaxis])[0], fallback)
    except Exception:  # noqa: BLE001 - the row is to blame, or both are
        raise error from None
