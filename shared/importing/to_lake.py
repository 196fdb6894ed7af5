"""Old rows of an import into the lake; the database keeps of them what live features need."""

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.importing.lake import Lake
from shared.tables.archive import LEAST_DAYS
from shared.tables.schema import transaction_history_logs


class LakeImport:
    """Divides the rows of an import at the age from which `understudy archive` takes rows.

    Of each user the first and the newest old row go into the database as well, as an archive
    leaves them there: the time since they happened is a feature. Readers count a row once.
    """

    def __init__(self, lake: Lake, now_us: int, *, row_id: str, entity: str) -> None:
        """`row_id` and `entity` are the columns with the id of a row and of its user."""
        self._lake = lake
        self._row_id, self._entity = row_id, entity
        self._before_us = now_us - round(LEAST_DAYS * MICROS_PER_DAY)
        self._edges: pl.DataFrame | None = None
        self.rows = 0

    @property
    def place(self) -> str:
        """The table of the lake that takes the rows."""
        return self._lake.place_of(transaction_history_logs.name)

    def take(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Write old rows into the lake; returns the others.

        Raises:
            DataUnavailable: the lake takes no rows.
        """
        is_old = pl.col("event_time") < self._before_us
        old = rows.filter(is_old)
        if old.height:
            self._lake.append(transaction_history_logs, old)
            known = old if self._edges is None else pl.concat([self._edges, old])
            self._edges = self._ends_of(known)
            self.rows += old.height
        return rows.filter(~is_old)

    def finish(self) -> pl.DataFrame | None:
        """Join the files that were written; returns the rows that the database has to have."""
        if self.rows:
            self._lake.compact(transaction_history_logs.name)
        return self._edges

    def _ends_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        ordered = rows.sort("event_time", "ingested_at", self._row_id)
        ends = [
            ordered.unique(self._entity, keep=end, maintain_order=True) for end in ("first", "last")
        ]
        return pl.concat(ends).unique(self._row_id, maintain_order=True)
