"""POST /feedback: ground truth, stored now or journaled until the database is back."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic.config import JsonDict

from api.http.auth import RouteSpec, add_route, caller
from api.http.problems import (
    INVALID_REQUEST,
    JOURNAL_FULL,
    WORKER_UNAVAILABLE,
    FieldProblem,
    Problem,
)
from api.service import Service
from shared.clock import MICROS_PER_SECOND, isoformat, to_micros
from shared.keys.tokens import Role
from shared.transaction import TEXT_PATTERN, Label, one_form

_MAX_LABELS = 10_000
_MAX_ELEMENTS = 6 * _MAX_LABELS
_MAX_SKEW_US = 300 * MICROS_PER_SECOND
_BINARY = {
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "negative"), 0),
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "positive"), 1),
}
_EXAMPLE: JsonDict = {"labels": [{"transaction_id": "t-1001", "label": 1, "source": "chargeback"}]}


def _binary(value: Any) -> Any:
    """The usual spellings of yes and no, in JSON or as text out of a table."""
    return _BINARY.get(str(value).strip().lower(), value)


def _lower_case(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _text_moment(value: Any) -> Any:
    # a number could be seconds or milliseconds
    if isinstance(value, str) and "-" in value[1:]:
        return value
    raise ValueError("write an RFC 3339 date and time with a zone, e.g. 2026-01-05T10:15:00Z")


Identifier = Annotated[
    str, Field(min_length=1, max_length=128, pattern=TEXT_PATTERN), AfterValidator(one_form)
]
Binary = Annotated[Literal[0, 1], BeforeValidator(_binary)]
Source = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$"), BeforeValidator(_lower_case)]


Moment = Annotated[AwareDatetime, BeforeValidator(_text_moment)]


class LabelIn(BaseModel):
    """What turned out to be true of one transaction."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Identifier
    label: Binary
    source: Source = Field("feedback", description="Who says so; upper case is written in lower.")
    label_known_at: Moment | None = Field(
        None,
        validation_alias=AliasChoices("label_known_at", "known_at"),
        description="RFC 3339 with a zone: since when it is known, at most now. Default: now.",
    )

    def known_at_us(self, place: int, now_us: int) -> int:
        """Since when it is known; clocks may differ a little.

        Raises:
            Problem: that is yet to come, or nonsense.
        """
        if self.label_known_at is None:
            return now_us
        known_us = to_micros(self.label_known_at)
        if 0 <= known_us <= now_us + _MAX_SKEW_US:
            return min(known_us, now_us)
        where = "before 1970" if known_us < 0 else f"after now, {isoformat(now_us)}"
        error = FieldProblem(
            field=f"labels.{place}.label_known_at",
            problem=f"{isoformat(known_us)} is {where}",
            remedy="send the instant since when the label is known, or leave it out",
        )
        raise Problem(INVALID_REQUEST, f"{error.field}: {error.problem}", errors=[error])


class FeedbackRequest(BaseModel):
    """Labels; the last of several for one transaction counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # one that is wrong is enough: all are refused, and looking on would cost more than storing
    labels: list[LabelIn] = Field(min_length=1, max_length=_MAX_LABELS, fail_fast=True)


class FeedbackAnswer(BaseModel):
    """What became of them; nothing is dropped silently."""

    stored: int = Field(description="In the database now")
    queued: int = Field(description="In the journal, on their way to the database")
    unknown: list[str] = Field(description="Nobody has seen these transactions; not kept")


def add_feedback_routes(app: FastAPI, service: Service) -> None:
    """POST /feedback."""

    def feedback(body: FeedbackRequest, request: Request) -> FeedbackAnswer:
        now_us, sent_by = service.clock.now_us(), caller(request).name
        kept = service.labels.keep(
            Label(
                item.transaction_id,
                item.label,
                item.known_at_us(place, now_us),
                item.source,
                sent_by,
            )
            for place, item in enumerate(body.labels)
        )
        service.dispatcher(partial(service.source.learned, kept.stored))
        return FeedbackAnswer(
            stored=len(kept.stored), queued=len(kept.queued), unknown=sorted(kept.unknown)
        )

    options = {"tags": ["scoring"], "summary": "Tell what turned out to be true"}
    limit = service.settings.batch_max_bytes
    spec = RouteSpec(
        "POST", "/feedback", feedback, Role.FEEDBACK, limit, (JOURNAL_FULL, WORKER_UNAVAILABLE),
        options, json_elements=_MAX_ELEMENTS,
    )  # fmt: skip
    add_route(app, service.authenticator, spec)
