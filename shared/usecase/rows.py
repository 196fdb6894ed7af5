"""Columns of a use case with a role for the scheduler, and served rows with their outcomes."""

from dataclasses import dataclass

from sqlalchemy import FromClause

from shared.tasks import Task

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
