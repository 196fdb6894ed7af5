"""Ground truth: what POST /feedback takes and answers."""

from typing import Annotated, Any, Literal

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

from shared.transaction import TEXT_PATTERN, one_form

MAX_LABELS = 10_000
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


class FeedbackRequest(BaseModel):
    """Labels; the last of several for one transaction counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # one that is wrong is enough: all are refused, and looking on would cost more than storing
    labels: list[LabelIn] = Field(min_length=1, max_length=MAX_LABELS, fail_fast=True)


class FeedbackAnswer(BaseModel):
    """What became of the labels; nothing is dropped silently."""

    stored: int = Field(description="In the database now")
    queued: int = Field(description="In the journal, on their way to the database")
    unknown: list[str] = Field(description="Nobody has seen these transactions; not kept")
