"""From scores to answers; and, for a fresh version, what its predecessor would have answered."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from api.http.problems import SCORING_FAILED, Problem
from api.journal.entries import Decided
from api.models.comparison import Comparison
from api.models.loaded import LiveModel, usable
from api.scoring.model_router import RoutedScores, unusable
from api.scoring.stages import Accepted, Featured, Scored, answer_of
from shared.usecase.serving import FloatMatrix, FloatVector

Blame = Callable[[LiveModel, Problem], None]


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
    """Now and then, score and decide the same rows by the predecessor as well."""
    if comparison is None or time.perf_counter() < comparison.due:
        return
    live = scores.champion
    if comparison.live.version != live.version or len(scored) < len(matrix):
        return

    def decide(place: int, values: FloatVector, model: LiveModel) -> str:
        return _decide(scored[place].row, matrix[place], values, model).answer.decision

    # Quarantined rows, which count nowhere else, do not count here either.
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
