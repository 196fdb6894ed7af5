"""The schema of a row: ordered columns with a kind each, and the roles some columns play."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from shared.tasks import Task

MAX_NUMBER = 1e30
"""The largest magnitude of a number: finite in float32, and so is every share of it."""

Value = float | bool | str | int | None
"""number: float; flag: bool; category: str; moment: int, microseconds since the epoch."""


class Kind(StrEnum):
    """The kind of a column's values."""

    NUMBER = "number"
    FLAG = "flag"
    CATEGORY = "category"
    MOMENT = "moment"


class MomentPart(StrEnum):
    """The encoding of a moment: its age at the time of the row, or a part of the calendar (UTC)."""

    AGE_DAYS = "age_days"
    HOUR = "hour"
    WEEKDAY = "weekday"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column: a field of the request, a column of the table, part of the vector.

    Attributes:
        source: its name in files and queries.
        minimum, maximum: bounds of a number, inclusive.
        values: the words of a closed category, in order; empty: the category is open.
        hash_slots: how many 24-bit hashes stand for a word of an open category.
        parts: what a moment becomes in the vector.
        default: taken where a row has no value.
        required: a row without a value is refused.
    """

    name: str
    kind: Kind
    source: str
    minimum: float = -MAX_NUMBER
    maximum: float = MAX_NUMBER
    values: tuple[str, ...] = ()
    hash_slots: int = 1
    parts: tuple[MomentPart, ...] = (MomentPart.AGE_DAYS,)
    default: Value = None
    required: bool = True
    description: str = ""

    @property
    def is_open(self) -> bool:
        """True if it is a category that takes any word."""
        return self.kind is Kind.CATEGORY and not self.values


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of the source that are about the row and are not learned from.

    Attributes:
        row_id: identifies a row; None: an id is made from the row's content.
        entity: whose rows depend on each other; None: each row stands alone.
        time: when the row was true; None: rows have no order in time.
        label: what is predicted; None for a ranking.
        known_at: when the label became known; None: `delay_us` after the time.
        stake: the declared column with the money at risk.
        items: the declared columns of a ranking with the ratings so far, in order.
        item_labels: the columns of the source with what was rated next, in the order of the
            items; empty: labels come by /feedback.
    """

    label: str | None
    row_id: str | None = None
    entity: str | None = None
    time: str | None = None
    known_at: str | None = None
    stake: str | None = None
    items: tuple[str, ...] = ()
    item_labels: tuple[str, ...] = ()
    delay_us: int = 0


@dataclass(frozen=True)
class RowSchema:
    """Everything about a row of one version of one use case.

    Attributes:
        version: raised whenever a change is not additive; the MAJOR of model versions.
    """

    name: str
    version: int
    task: Task
    roles: Roles
    columns: tuple[Column, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The declared columns in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of this name.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


# not frozen, because creating a frozen one takes three times as long, in every request
@dataclass(slots=True)
class Row:
    """One row of a declared use case; `values` are in the order of the schema's columns.

    Attributes:
        entity: the entity's id; the row's id where the use case has no entity.
        event_time_us: when it was true, microseconds since the epoch, UTC.
        ingested_at_us: when this system first saw it; imported history has the event time.
    """

    row_id: str
    entity: str = field(repr=False)
    event_time_us: int
    ingested_at_us: int
    values: Sequence[Value] = field(repr=False)

    @property
    def transaction_id(self) -> str:
        """The row's id, under the name by which the API asks for it."""
        return self.row_id

    @property
    def user_id(self) -> str:
        """Its entity, likewise: whose rows are scored one after the other."""
        return self.entity
