"""Who scores a row: the version that serves, one on trial, or one that stands in for it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from api.http.problems import SCORING_FAILED, Problem
from api.models.breaker import Breaker
from api.models.loaded import LiveModel
from api.models.trial import ModelScores, Trial
from shared.usecase.serving import FloatMatrix


class Isolation(Enum):
    """Whether rows of one matrix may influence how their neighbours are answered."""

    PER_ROW = "per-row"
    """Rows of different callers: one that cannot be scored must not change the others."""

    WHOLE_BATCH = "whole-batch"
    """Rows of one caller: one version answers them all."""


@dataclass(frozen=True, slots=True)
class RoutedScores:
    """Every row's scores and who made them.

    Attributes:
        all_usable: every number is finite.
        champion: who scored the rows that no candidate took; the batch as a whole is its.
        seconds: what each version's part took, by version.
    """

    rows: Sequence[ModelScores]
    all_usable: bool
    champion: LiveModel
    seconds: dict[str, float]


class ModelRouter:
    """Scores matrices; knows nobody's users but by their ids.

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
