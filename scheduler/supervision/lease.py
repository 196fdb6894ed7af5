"""Keeps the lease of a run in progress, and learns with it whether the run should end."""

import threading

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.schedule.outage_log import OutageLog
from shared.errors import DataUnavailable
from shared.tables.leases import renew
from shared.tables.runs import get_run

# three attempts before it runs out
SHARE_OF_LEASE = 1 / 3
JOIN_SECONDS = 1.0


class LeaseKeeper:
    """Extends the lease in a thread of its own: a slow database must not stop the watch.

    While the database is away nobody can take the run over either; who holds it is settled
    when it is back. Without it nothing is pushed: the push is announced there first.
    """

    def __init__(
        self,
        engine: Engine,
        run_id: int,
        fencing_number: int,
        seconds: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._fencing_number = fencing_number
        self._seconds = seconds
        self._log = log
        self._database = OutageLog("lease", log)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.is_over = False
        self.is_lost = False
        self.cancelled_by: str | None = None

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds * SHARE_OF_LEASE):
            if self.is_over or self.is_lost:
                return
            try:
                self._extend()
            except DataUnavailable as error:
                self._database.away(error)

    def _extend(self) -> None:
        holding = renew(self._engine, self._run_id, self._fencing_number, self._seconds)
        self._database.back()
        if self._ended.is_set():
            return
        if holding is None:
            # either the child has recorded the end, or somebody else has the run
            run = get_run(self._engine, self._run_id)
            self.is_over = run is not None and run.fencing_number == self._fencing_number
            self.is_lost = not self.is_over
            return
        if holding.cancel_requested_by and not holding.is_pushing:
            self.cancelled_by = holding.cancel_requested_by
