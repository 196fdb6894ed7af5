"""From scores to answers; and, for a fresh version, what its predecessor would have answered."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from api.http.problems import SCORING_FAILED, Problem
from api.models.comparison import Comparison
from api.models.loaded import LiveModel, usable
from api.scoring.model_router import RoutedScores, unusable
from api.scoring.row import Row, respond
from shared.usecase.serving import FloatMatrix, FloatVector

Blame = Callable[[LiveModel, Problem], None]


def answered(
    rows: Sequence[Row],
    matrix: FloatMatrix,
    scores: RoutedScores,
    fallback: LiveModel | None,
    blame: Blame,
) -> list[Row]:
    """Answer every row that has usable scores; returns those."""
    scored = []
    for row, vector, (model, values) in zip(rows, matrix, scores.rows, strict=True):
        if not (scores.all_usable or usable(values)):
            row.outcome = unusable(model)
            continue
        try:
            row.answer_with(vector, values, model)
        except Exception as error:  # noqa: BLE001 - raised again where nobody can answer
            _answer_instead(row, vector, model, fallback, error)
            detail = f"version {model.version} failed to answer: {type(error).__name__}"
            blame(model, Problem(SCORING_FAILED, detail))
        scored.append(row)
    return scored


def compare(
    rows: Sequence[Row], matrix: FloatMatrix, scores: RoutedScores, comparison: Comparison | None
) -> None:
    """Now and then, score and decide the same rows by the predecessor as well."""
    if comparison is None or time.perf_counter() < comparison.due:
        return
    live = scores.champion
    if comparison.live.version != live.version or len(rows) < len(matrix):
        return

    def decide(place: int, values: FloatVector, model: LiveModel) -> str:
        row = rows[place]
        return respond(row.route, row.decided_by(matrix[place], values, model)).decision

    # Rows of strangers, which count nowhere else, do not count here either.
    decisions = [None if row.is_quarantined else row.answer.decision for row in rows]
    comparison.repeat(matrix, scores.seconds[live.version], decisions, decide)


def _answer_instead(
    row: Row,
    vector: FloatVector,
    failing: LiveModel,
    fallback: LiveModel | None,
    error: Exception,
) -> None:
    """The fallback's answer, where a version's scores or thresholds give none.

    Raises:
        Exception: the failure itself, when the fallback cannot answer the row either.
    """
    if fallback is None or fallback.version == failing.version:
        raise error
    try:
        row.answer_with(vector, fallback.score(vector[np.newaxis])[0], fallback)
    except Exception:  # noqa: BLE001 - the row is to blame, or both are
        raise error from None
