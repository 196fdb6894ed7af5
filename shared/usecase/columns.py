"""The columns of a use case's snapshot that play a role for the scheduler."""

from dataclasses import dataclass

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
