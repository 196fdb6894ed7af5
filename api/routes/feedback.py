"""POST /feedback: ground truth, stored now or journaled until the database is back."""

from functools import partial

from fastapi import FastAPI, Request

from api.http.auth import RouteSpec, add_route
from api.http.callers import caller
from api.http.problems import INVALID_REQUEST, JOURNAL_FULL, WORKER_UNAVAILABLE, Problem
from api.metrics import Metrics
from api.scoring.labels import KeptLabels
from api.service import Service
from shared.clock import MICROS_PER_HOUR, MICROS_PER_SECOND, isoformat, to_micros
from shared.contracts.feedback import MAX_LABELS, FeedbackAnswer, FeedbackRequest, LabelIn
from shared.contracts.http import FieldProblem
from shared.instant_texts import UNSTATED
from shared.keys.tokens import Role
from shared.tasks.labels import LabelWords
from shared.transaction import Label, LabelValue

_MAX_ELEMENTS = 6 * MAX_LABELS
_MAX_SKEW_US = 300 * MICROS_PER_SECOND
_FARTHEST_ZONE_US = 14 * MICROS_PER_HOUR


def add_feedback_routes(app: FastAPI, service: Service) -> None:
    """POST /feedback."""

    def feedback(body: FeedbackRequest, request: Request) -> FeedbackAnswer:
        words = service.use_case.label_words
        now_us, sent_by = service.clock.now_us(), caller(request).name
        kept = service.scoring.labels.keep(
            Label(
                item.transaction_id,
                _label(item, place, words),
                _known_at_us(item, place, now_us),
                item.source,
                sent_by,
            )
            for place, item in enumerate(body.labels)
        )
        _count(service.metrics, kept)
        service.scoring.dispatcher(partial(service.scoring.source.learned, kept.stored))
        return FeedbackAnswer(
            stored=len(kept.stored),
            queued=len(kept.queued),
            unknown=sorted(kept.unknown),
            **_without_zeros(replaced=len(kept.replaced), outdated=len(kept.outdated)),
        )

    # the use case declares the schema of its labels
    feedback.__annotations__["body"] = service.scoring.labels.rows.feedback_request
    options = {
        "tags": ["scoring"],
        "summary": "Report labels: the true outcomes of rows",
        "response_model_exclude_unset": True,
    }
    limit = service.settings.batch_max_bytes
    spec = RouteSpec(
        "POST", "/feedback", feedback, Role.FEEDBACK, limit, (JOURNAL_FULL, WORKER_UNAVAILABLE),
        options, json_elements=_MAX_ELEMENTS,
    )  # fmt: skip
    add_route(app, service.access.authenticator, spec)


def _count(metrics: Metrics, kept: KeptLabels) -> None:
    """Each label under one outcome, and the delay of first labels."""
    outcomes = {
        "stored": len(kept.stored) - len(kept.replaced) - len(kept.outdated),
        "replaced": len(kept.replaced),
        "outdated": len(kept.outdated),
        "queued": len(kept.queued),
        "unknown": len(kept.unknown),
    }
    for outcome, count in outcomes.items():
        metrics.labels.labels(outcome).inc(count)
    for delay_us in kept.delays_us:
        metrics.label_delay.observe(max(delay_us, 0) / MICROS_PER_SECOND)


def _without_zeros(**counts: int) -> dict[str, int]:
    """Counts are given where there is something to count."""
    return {name: count for name, count in counts.items() if count}


def _label(label: LabelIn, place: int, words: LabelWords) -> LabelValue:
    """The label of a word; the declaration has read any other.

    Raises:
        Problem: the word is unknown.
    """
    if not isinstance(label.label, str):
        return label.label
    read = words.label_of(label.label)
    if read is not None:
        return read
    own = f", or one of the use case's words: {words.told}" if words.told else ""
    error = FieldProblem(
        field=f"labels.{place}.label",
        problem="this is not a word for a label",
        remedy=f"send 1 or 0, yes or no, true or false{own}",
    )
    raise Problem(INVALID_REQUEST, f"{error.field}: {error.problem}", errors=[error])


def _known_at_us(label: LabelIn, place: int, now_us: int) -> int:
    """The instant since which the label is known; clocks may differ a little.

    Raises:
        Problem: that is yet to come, or nonsense.
    """
    if label.label_known_at is None:
        return now_us
    known_us = to_micros(label.label_known_at)
    # a date without a zone is local to the sender, whose day may begin before that of UTC
    is_zoned = label.label_known_at.tzinfo is not UNSTATED
    if 0 <= known_us <= now_us + (_MAX_SKEW_US if is_zoned else _FARTHEST_ZONE_US):
        return min(known_us, now_us)
    where = "before 1970" if known_us < 0 else f"after now, {isoformat(now_us)}"
    error = FieldProblem(
        field=f"labels.{place}.label_known_at",
        problem=f"{isoformat(known_us)} is {where}",
        remedy="send the instant at which the label became known, or leave it out",
    )
    raise Problem(INVALID_REQUEST, f"{error.field}: {error.problem}", errors=[error])
