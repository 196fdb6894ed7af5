"""Many rows of one caller; a row that cannot be scored gets its own error."""

import time
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from api.http.callers import Caller
from api.http.problems import Problem
from api.http.validation import invalid
from api.scoring.reply import Reply
from api.scoring.row import Answered, Row
from api.scoring.scorer import Scorer
from shared.usecase.serving import ScoringRoute

Instance = BaseModel | ValidationError


def score_batch(
    scorer: Scorer, instances: Sequence[Instance], route: ScoringRoute, caller: Caller
) -> Reply:
    """Answer every row, by a prediction or by its problem, as if they had come one by one.

    Raises:
        Problem: no model, the model failed, or the journal is full; nothing was counted.
    """
    started = time.perf_counter()
    rows = [
        instance if isinstance(instance, ValidationError) else Row(instance, route, caller, started)
        for instance in instances
    ]
    model = scorer.score([row for row in rows if isinstance(row, Row)], apart=False)
    predictions = [_told(place, row) for place, row in enumerate(rows)]
    body = {"predictions": predictions, "version": model.version}
    return Reply(orjson.dumps(body), model.version)


def _told(place: int, row: Row | ValidationError) -> dict[str, Any]:
    outcome: Answered | Problem = invalid(row) if isinstance(row, ValidationError) else row.outcome
    if isinstance(outcome, Answered):
        return outcome.body
    return {"index": place, "error": outcome.body()}
