"""Proof that the live version served well: for the declared time, with the declared rows.

It is recorded in the ledger as soon as it is true, not when the version is replaced, because rows
are counted in memory. A rollback goes to the last version with this record.
"""

from contextlib import suppress
from dataclasses import dataclass

import structlog

from api.metrics import Metrics
from api.models.promoter import Promoter
from api.registry.registry import Registry
from shared.clock import MICROS_PER_SECOND, Clock
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
PROOF_SECONDS = 5.0
_WRITE_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Declared:
    """The declared time and rows; rows are those of one worker since the activation."""

    seconds: float
    rows: int


class Proof:
    """Checks the live version periodically; any worker may record that it served well."""

    def __init__(
        self,
        promoter: Promoter,
        registry: Registry,
        metrics: Metrics,
        clock: Clock,
        declared: Declared,
    ) -> None:
        self._promoter = promoter
        self._registry = registry
        self._metrics = metrics
        self._clock = clock
        self._declared = declared

    def look(self) -> None:
        """Write it down, once.

        Raises:
            OSError: it could not be written; the next look tries again.
        """
        version = self._promoter.serving
        if not self._is_due(version):
            return
        # on a conflict with another host, the next poll reads its state
        with suppress(WriteConflict), self._promoter.writing(_WRITE_WAIT_SECONDS):
            if self._registry.current() != version or not self._is_due(version):
                return
            now_us = self._clock.now_us()
            self._registry.save(self._registry.ledger.with_served_well(version, now_us))
            self._report(version)

    def _report(self, version: str) -> None:
        _log.info("served_well", version=version, seconds=self._declared.seconds)

    def _is_due(self, version: str) -> bool:
        last = self._registry.ledger.served_last
        if last is None or last.version != version or last.served_well_at_us is not None:
            return False
        age_seconds = (self._clock.now_us() - last.activated_at_us) / MICROS_PER_SECOND
        rows = self._metrics.versions.rows_of(version)
        return age_seconds >= self._declared.seconds and rows >= self._declared.rows
