"""Old rows of an import into the lake; the database keeps of them what live features need."""

import polars as pl

from shared.clock import MICROS_PER_DAY
from shared.importing.lake import Lake
from shared.tables.archive import LEAST_DAYS
from shared.tables.schema import transaction_history_logs

_EDGE_ORDER = ("event_time", "ingested_at", "transaction_id")


class LakeImport:
    """Divides the rows of an import at the age from which `understudy archive` takes rows.

    Of each user the first and the newest old row go into the database as well, as an archive
    leaves them there: the time since they happened is a feature. Readers count a row once.
    """

    def __init__(self, lake: Lake, now_us: int) -> None:
        self._lake = lake
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
            self._edges = _edges(old if self._edges is None else pl.concat([self._edges, old]))
            self.rows += old.height
        return rows.filter(~is_old)

    def finish(self) -> pl.DataFrame | None:
        """Join the files that were written; returns the rows that the database has to have."""
        if self.rows:
            self._lake.compact(transaction_history_logs.name)
        return self._edges


def _edges(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort(_EDGE_ORDER)
    ends = [ordered.unique("user_id", keep=end, maintain_order=True) for end in ("first", "last")]
    return pl.concat(ends).unique("transaction_id", maintain_order=True)
