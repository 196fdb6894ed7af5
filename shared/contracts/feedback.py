"""Ground truth: what POST /feedback takes and answers."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
    create_model,
)
from pydantic.config import JsonDict

from shared.instant_texts import EXAMPLE, read_instant
from shared.request_types import ONE_FORM, text_limits
from shared.tasks.labels import LabelWords
from shared.transaction import LabelValue

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
    raise ValueError("this is not a label: write 1 or 0, or a word such as yes, no, true, false")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lower_case(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _text_moment(value: Any) -> Any:
    # numbers are refused: they could be seconds or milliseconds
    if isinstance(value, str):
        return read_instant(value)
    raise ValueError(f"numbers can be seconds or milliseconds: write a text, like {EXAMPLE}")


Identifier = Annotated[str, text_limits(128), ONE_FORM]
LabelOrWord = Annotated[Literal[0, 1] | str, BeforeValidator(_label)]
Source = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$"), BeforeValidator(_lower_case)]


Moment = Annotated[
    datetime,
    PlainValidator(_text_moment),
    WithJsonSchema({"type": "string", "examples": [EXAMPLE, "05.01.2026", "2026-01-05 10:15"]}),
]


class LabelIn(BaseModel):
    """The ground truth of one row."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Identifier
    label: LabelOrWord = Field(
        description="1 or 0, or a word for it: yes, no, true, false, y, n, good, bad, or one that "
        "the use case declares."
    )
    source: Source = Field("feedback", description="Source of the label; stored in lower case.")
    label_known_at: Moment | None = Field(
        None,
        validation_alias=AliasChoices("label_known_at", "known_at"),
        description="When the label became known, not in the future: a date, or a date and time, "
        "in the formats of files; UTC where no zone is named. Default: now.",
    )


class FeedbackRequest(BaseModel):
    """Labels; the last of several for one row counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # fail_fast: one invalid label refuses all, and validating the rest would cost more than storing
    labels: list[LabelIn] = Field(min_length=1, max_length=MAX_LABELS, fail_fast=True)


@dataclass(frozen=True, slots=True)
class LabelForm:
    """The form in which a declared use case receives its labels.

    Attributes:
        id_field: what it calls the id of a row; `row_id` and `transaction_id` are read, too.
        read: from what is sent to what is stored; raises ValueError.
        schema, example: of a label, for /docs.
    """

    id_field: str
    longest_id: int
    read: Callable[[Any], LabelValue]
    description: str
    schema: JsonDict
    example: JsonValue


def feedback_request(form: LabelForm) -> type[FeedbackRequest]:
    """POST /feedback of a declared use case."""
    names = [name for name in (form.id_field, "row_id") if name not in LabelIn.model_fields]
    aliases = AliasChoices(*dict.fromkeys((*names, "transaction_id")))
    row_id: Any = Annotated[str, text_limits(form.longest_id), ONE_FORM]
    value: Any = Annotated[Any, BeforeValidator(form.read), WithJsonSchema(form.schema)]
    fields: dict[str, Any] = {
        "transaction_id": (row_id, Field(validation_alias=aliases, description="The row's id.")),
        "label": (value, Field(description=form.description)),
    }
    label = create_model("LabelIn", __base__=LabelIn, __doc__=LabelIn.__doc__, **fields)
    shown: JsonDict = {(names or ["transaction_id"])[0]: "r-1", "label": form.example}
    config = ConfigDict(json_schema_extra={"examples": [{"labels": [shown]}]})
    more: dict[str, Any] = {
        "labels": (
            list[label],
            Field(min_length=1, max_length=MAX_LABELS, fail_fast=True),
        )
    }
    base = type("FeedbackRequest", (FeedbackRequest,), {"model_config": config})
    made: Any = create_model(
        "FeedbackRequest", __base__=base, __doc__=FeedbackRequest.__doc__, **more
    )
    return cast(type[FeedbackRequest], made)


class FeedbackAnswer(BaseModel):
    """The outcome of every label; none is dropped silently."""

    stored: int = Field(description="In the database now")
    replaced: int = Field(
        0,
        description="Of those stored: changed a stored label, which is kept (LabelChanges); "
        "left out where there is none",
    )
    outdated: int = Field(
        0,
        description="Of those stored: known earlier than a stored label that says otherwise, which "
        "stays; left out where there is none",
    )
    queued: int = Field(description="In the journal, on their way to the database")
    unknown: list[str] = Field(description="Ids of unknown rows; their labels are not kept")
