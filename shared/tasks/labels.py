"""Labels: the words of people and files for them, their stored values, and their number."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.tasks.task import Task, TaskKind

# yes and no, true and false in English, German, French, Spanish and Italian
POSITIVE = (
    "1", "true", "t", "y", "yes", "positive", "bad",
    "ja", "oui", "si", "s\u00ed", "s\u00ec", "wahr", "vrai", "verdadero", "vero",
)  # fmt: skip
NEGATIVE = (
    "0", "false", "f", "n", "no", "negative", "good",
    "nein", "non", "falsch", "faux", "falso",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The words for labels in a use case's exports, and their column."""

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def label_of(self, word: str) -> int | None:
        """1 or 0, whatever its case and the blanks around it; None: not a word for a label."""
        said = " ".join(word.split()).lower()
        if said in (*POSITIVE, *self.positive):
            return 1
        return 0 if said in (*NEGATIVE, *self.negative) else None

    @property
    def told(self) -> str:
        """The use case's own words, for people."""
        return ", ".join((*self.positive, *self.negative))


class LabelError(ValueError):
    """A label that does not fit the task; names the remedy."""


def encode_label(task: Task, value: Any) -> float | npt.NDArray[np.float32]:
    """The label as it is stored: a class's position, a value, or one number for each item.

    A class is found by its name first; then true and false, or 1 and 0, stand for the classes
    of a binary task.

    Raises:
        LabelError: it is not a label of this task.
    """
    if task.kind is TaskKind.REGRESSION:
        return _number(value, "a label of a regression")
    if task.kind is TaskKind.RANKING:
        return _items(task, value)
    text = label_text(value)
    if text in task.names:
        return float(task.names.index(text))
    if task.kind is TaskKind.BINARY and text in _TRUTH:
        return float(_TRUTH[text])
    raise LabelError(f"{_shown(value)} is not one of {_listed(task.names)}")


def label_name(task: Task, stored: float) -> str | float:
    """The display name of a stored label: the class's name, or the value."""
    if not task.is_classification:
        return stored
    return task.names[int(stored)]


def label_text(value: Any) -> str:
    """The text a class goes by: `1`, `1.0` and `"1"` are one class."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


_TRUTH = {"true": 1, "false": 0, "1": 1, "0": 0}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise LabelError(f"{what} is a number, not {_shown(value)}")
    number = float(value)
    if not math.isfinite(number):
        raise LabelError(f"{what} is a finite number, not {number}")
    return number


def _items(task: Task, value: Any) -> npt.NDArray[np.float32]:
    """One number for each item; NaN where nothing is known."""
    if isinstance(value, Mapping):
        return _items_by_name(task, value)
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise LabelError(
            f"a label of a ranking is one number for each item, or a table of item to number, "
            f"not {_shown(value)}"
        )
    if len(value) != len(task.names):
        raise LabelError(f"{len(value)} numbers for {len(task.names)} items")
    known = [math.nan if item is None else float(item) for item in value]
    return _rated(known)


def _items_by_name(task: Task, value: Mapping[Any, Any]) -> npt.NDArray[np.float32]:
    unknown = [name for name in value if name not in task.names]
    if unknown:
        raise LabelError(f"{_shown(unknown[0])} is not one of {_listed(task.names)}")
    rated = [value.get(name) for name in task.names]
    return _rated([math.nan if item is None else _number(item, "a rating") for item in rated])


def _rated(numbers: list[float]) -> npt.NDArray[np.float32]:
    vector = np.array(numbers, dtype=np.float32)
    if np.isinf(vector).any() or np.isnan(vector).all():
        raise LabelError("at least one item needs a rating, and ratings are finite numbers")
    return vector


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


@dataclass(frozen=True, slots=True)
class Support:
    """A count, and of what."""

    count: int
    what: str


def support_of(
    task: Task, labels: npt.NDArray[Any], entities: npt.NDArray[Any] | None = None
) -> Support:
    """The sample size behind a task's metrics.

    A class without a row counts as 0.
    """
    if task.kind is TaskKind.REGRESSION:
        return Support(len(labels), "rows")
    if task.kind is TaskKind.RANKING:
        count = len(labels) if entities is None else len(np.unique(entities))
        return Support(count, "entities")
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(task.names))
    smallest = int(np.argmin(counts))
    return Support(int(counts[smallest]), f"rows of class {task.names[smallest]}")
