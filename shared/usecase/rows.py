"""Rows of a use case for both services: roles of columns, outcomes, journalling and storing.

The scheduler knows columns by their role, and the API stores rows through an interface; neither
knows what the columns are about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Engine, FromClause, Table

from shared.contracts.feedback import FeedbackRequest
from shared.tables.writer import WrittenLabels
from shared.tasks import Task
from shared.transaction import Label

TIME, LABEL, LABEL_KNOWN_AT = "event_time", "label", "label_known_at"
"""Columns that the snapshot of every use case has under these names."""


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Names of columns in a snapshot and among served rows.

    Attributes:
        row_id: identifies a row.
        entity: whose rows depend on each other; None: every row stands alone.
        stake: the money at risk.
        words: columns of text that are watched for drift, whether a feature or not.
    """

    row_id: str
    entity: str | None = None
    stake: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """Rows that were answered, whatever use case they are of.

    Attributes:
        table: has `label`, `label_known_at`, `label_source`, `model_version`, `score`,
            `component_scores` and `decided_at` or `ingested_at`.
        entity: the column with whose rows depend on each other; None: each row stands alone.
        metric: the metric that candidates are judged by.
    """

    table: FromClause
    entity: str | None
    task: Task
    metric: str


class RowFields(NamedTuple):
    """Fields of a request that say which row it is, and whose.

    Attributes:
        entity: its rows depend on each other; None: every row stands alone.
    """

    row_id: str
    entity: str | None


class RowStore(Protocol):
    """Rows of one use case between requests, the journal and the tables.

    The first of `columns` is the row's id, and `event_time` and `ingested_at` are among them.
    """

    @property
    def fields(self) -> RowFields: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a row, in the order of `values`."""
        ...

    @property
    def feedback_request(self) -> type[FeedbackRequest]:
        """The request of POST /feedback; a label may be a word of the use case."""
        ...

    def field_of(self, column: str) -> str:
        """The field of a request that a column comes from."""
        ...

    def values(self, row: Any) -> tuple[Any, ...]:
        """A row as its columns; JSON can hold each."""
        ...

    def row(self, values: Mapping[str, Any]) -> Any:
        """The row of its columns."""
        ...

    def shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The row of its columns for people: instants as text, flags as such."""
        ...

    def label_name(self, stored: Any) -> str | None:
        """The class of a stored label, where labels are classes."""
        ...

    @property
    def label_changes(self) -> Table:
        """Labels that a later one replaced; the row's id has the name it has in `columns`."""
        ...

    def decided(self, *, quarantined: bool) -> FromClause:
        """Rows that were decided, with every column of a record."""
        ...

    def decided_ids(self, *, quarantined: bool) -> FromClause:
        """The same rows as `decided`, of which only the id is needed: one table."""
        ...

    def prepare(self, engine: Engine) -> None:
        """Bring the tables up to date.

        Raises:
            DataUnavailable: try again later.
        """
        ...

    def write_decisions(
        self, connection: Connection, columns: Sequence[str], records: Sequence[tuple[Any, ...]]
    ) -> int:
        """Store decided rows that are not there yet; JSON columns are text. Returns how many."""
        ...

    def write_quarantined(
        self, connection: Connection, columns: Sequence[str], records: Sequence[tuple[Any, ...]]
    ) -> int:
        """The same for quarantined rows, which enter no history."""
        ...

    def store_labels(self, connection: Connection, labels: Sequence[Label]) -> WrittenLabels:
        """Store ground truth of rows that are there."""
        ...
