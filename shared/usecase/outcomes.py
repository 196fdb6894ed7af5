"""Served rows of a use case with what turned out to be true: what outcomes are compared on."""

from dataclasses import dataclass

from sqlalchemy import FromClause

from shared.tasks import Task


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
