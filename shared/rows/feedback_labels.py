"""Labels as callers of /feedback send them, read by the declaration."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue
from pydantic.config import JsonDict

from shared.contracts.feedback import LabelForm
from shared.rows.request_fields import LONGEST_WORD, role_fields
from shared.rows.schema import MAX_NUMBER, RowSchema
from shared.tasks import LabelError, Task, TaskKind, encode_label
from shared.tasks.labels import LabelWords, label_text
from shared.transaction import LabelValue, one_form

_SHOWN_NAMES = 8
_DECIMAL = re.compile(r"[+-]?\d{1,400}(\.\d{0,400})?([eE][+-]?\d{1,4})?", re.ASCII)
_WORDS = LabelWords()
_BOUNDS: JsonDict = {"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}


def label_reader(task: Task) -> Callable[[Any], LabelValue]:
    """A function from what is sent to what is stored.

    It raises ValueError, as `problem: write remedy`; what was sent is not repeated, for it may be
    about a person.
    """
    if task.kind is TaskKind.RANKING:
        return lambda sent: _ratings(task, sent)
    if task.kind is TaskKind.REGRESSION:
        return _value
    return _ClassReader(task)


def label_form(schema: RowSchema) -> LabelForm:
    """The form in which /feedback takes the labels of a schema."""
    task = schema.task
    description, about, example = _described(task)
    id_field = role_fields(schema).row_id
    return LabelForm(id_field, LONGEST_WORD, label_reader(task), description, about, example)


def _described(task: Task) -> tuple[str, JsonDict, JsonValue]:
    names: list[JsonValue] = list(task.names)
    if task.kind is TaskKind.REGRESSION:
        return "What the value turned out to be.", {"type": "number", **_BOUNDS}, 12.5
    if task.kind is TaskKind.RANKING:
        rating: JsonDict = {"type": ["number", "null"], **_BOUNDS}
        about: JsonDict = {
            "anyOf": [
                {"type": "object", "additionalProperties": rating},
                {"type": "array", "items": rating},
            ]
        }
        return "Ratings by item, or one for each item in order.", about, {task.names[0]: 4}
    if task.kind is TaskKind.MULTICLASS:
        return "The class that it turned out to be.", {"enum": names}, names[0]
    usual = "The class that it turned out to be; 1 or 0, true or false, yes or no are read, too."
    kinds: JsonValue = ["string", "integer", "boolean"]
    return usual, {"type": kinds, "examples": names}, names[-1]


class _ClassReader:
    """Classes by name, in any case; of a binary task also by the usual words and 1 and 0."""

    def __init__(self, task: Task) -> None:
        self._names = task.names
        self._is_binary = task.kind is TaskKind.BINARY
        folded = [_folded(name) for name in task.names]
        self._place = {
            name: place for place, name in enumerate(folded) if folded.count(name) == 1
        } | {name: place for place, name in enumerate(task.names)}  # fmt: skip
        # where the positive class is named "no", "yes" means the negative class
        self._positive = _WORDS.label_of(task.names[-1])

    def __call__(self, sent: Any) -> float:
        if isinstance(sent, str | int | float):
            text = one_form(label_text(sent))
            place = self._place.get(text, self._place.get(_folded(text)))
            if place is not None:
                return float(place)
            usual = _WORDS.label_of(text) if self._is_binary else None
            if usual is not None:
                return float(usual if self._positive is None else usual == self._positive)
        raise ValueError(f"this is not one of the classes: write one of {self._told()}")

    def _told(self) -> str:
        shown = ", ".join(self._names[:_SHOWN_NAMES])
        more = len(self._names) - _SHOWN_NAMES
        return f"{shown} and {more} more" if more > 0 else shown


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _value(sent: Any) -> float:
    """A number, also as text: commands and forms have nothing else."""
    if isinstance(sent, str) and _DECIMAL.fullmatch(sent.strip()):
        sent = float(sent)
    is_number = isinstance(sent, int | float) and not isinstance(sent, bool)
    try:
        # an import has the same bounds; a NaN is in none
        if is_number and abs(float(sent)) <= MAX_NUMBER:
            return float(sent)
    except OverflowError:  # an integer of 400 digits
        pass
    raise ValueError(
        f"this is not a number from {-MAX_NUMBER:g} to {MAX_NUMBER:g}: write a number, such as 12.5"
    )


def _ratings(task: Task, sent: Any) -> tuple[float | None, ...]:
    """One number for each item, None where it was not rated; each as float32 has it."""
    first, second = task.names[:2]
    form = f'write a table of item to number, such as {{"{first}": 4, "{second}": null}}'
    is_table = isinstance(sent, Mapping)
    is_list = isinstance(sent, Sequence) and not isinstance(sent, str | bytes)
    if not is_table and not is_list:
        raise ValueError(f"this rates no items: {form}")
    values = sent.values() if is_table else sent
    if not all(one is None or _is_rating(one) for one in values):
        raise ValueError(f"a rating is not a finite number: {form}")
    try:
        vector = np.asarray(encode_label(task, sent), dtype=np.float32)
    except LabelError as error:
        raise ValueError(
            f"this does not fit the {len(task.names)} items, or rates none of them: {form}"
        ) from error
    return tuple(None if math.isnan(one) else one for one in vector.tolist())


def _is_rating(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= MAX_NUMBER


def stored_form(value: LabelValue) -> float | bytes:
    """A label as the table of a declared use case holds it."""
    if isinstance(value, int | float):
        return float(value)
    known = [math.nan if one is None else one for one in value]
    return np.array(known, dtype="<f4").tobytes()
