"""Ground truth: what POST /feedback takes and answers."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.config import JsonDict

from shared.instant_texts import EXAMPLE, read_instant
from shared.label_words import LabelWords
from shared.transaction import TEXT_PATTERN, one_form

MAX_LABELS = 10_000
_LONGEST_WORD = 64
_EXAMPLE: JsonDict = {"labels": [{"transaction_id": "t-1001", "label": 1, "source": "chargeback"}]}


def _label(value: Any) -> Any:
    """0 or 1 where the usual words for it are sent; another word stays for the use case to read."""
    whole = re.sub(r"\.0+$", "", str(value).strip())
    known = LabelWords().label_of(whole)
    if known is not None:
        return known
    if isinstance(value, str) and 0 < len(whole) <= _LONGEST_WORD and not _is_number(whole):
        return whole
    raise ValueError("this is no label: write 1 or 0, or a word such as yes, no, true, false")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lower_case(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _text_moment(value: Any) -> Any:
    # a number could be seconds or milliseconds
    if isinstance(value, str):
        return read_instant(value)
    raise ValueError(f"numbers can be seconds or milliseconds: write a text, like {EXAMPLE}")


Identifier = Annotated[
    str, Field(min_length=1, max_length=128, pattern=TEXT_PATTERN), AfterValidator(one_form)
]
LabelOrWord = Annotated[Literal[0, 1] | str, BeforeValidator(_label)]
Source = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$"), BeforeValidator(_lower_case)]


Moment = Annotated[
    datetime,
    PlainValidator(_text_moment),
    WithJsonSchema({"type": "string", "examples": [EXAMPLE, "05.01.2026", "2026-01-05 10:15"]}),
]


class LabelIn(BaseModel):
    """The ground truth of one transaction."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Identifier
    label: LabelOrWord = Field(
        description="1 or 0, or a word for it: yes, no, true, false, y, n, good, bad, or one that "
        "the use case declares."
    )
    source: Source = Field("feedback", description="Who says so; upper case is written in lower.")
    label_known_at: Moment | None = Field(
        None,
        validation_alias=AliasChoices("label_known_at", "known_at"),
        description="Since when it is known, at most now: a date, or a date and time, as files "
        "have them; UTC where no zone is named. Default: now.",
    )


class FeedbackRequest(BaseModel):
    """Labels; the last of several for one transaction counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # one that is wrong is enough: all are refused, and looking on would cost more than storing
    labels: list[LabelIn] = Field(min_length=1, max_length=MAX_LABELS, fail_fast=True)


class FeedbackAnswer(BaseModel):
    """The outcome of every label; none is dropped silently."""

    stored: int = Field(description="In the database now")
    replaced: int = Field(
        0,
        description="Of those stored: turned round a stored label, which is kept (LabelChanges); "
        "left out where there is none",
    )
    outdated: int = Field(
        0,
        description="Of those stored: known earlier than a stored label that says otherwise, which "
        "stays; left out where there is none",
    )
    queued: int = Field(description="In the journal, on their way to the database")
    unknown: list[str] = Field(description="Unknown transactions; their labels are not kept")
