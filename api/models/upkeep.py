"""The end of a time in service: proof that it went well, recovery from crashes, revocation.

A version has served well after the declared time with the declared rows. That is recorded as soon
as it is true, not when the version is replaced, because rows are counted in memory. A rollback goes
to the last version with this record.
"""

from contextlib import suppress
from dataclasses import dataclass

import structlog

from api.metrics import Metrics
from api.models.crashes import Crashes
from api.models.pointer import Rollback
from api.models.promoter import Promoter
from api.models.refusals import NoFallback, NotServing, StillServing, VersionUnknown
from api.registry.audit import AuditTrail
from api.registry.registry import Registry
from shared.clock import MICROS_PER_SECOND, Clock
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
PROOF_SECONDS = 5.0
_PROOF_WAIT_SECONDS = 1.0
_WRITE_WAIT_SECONDS = 5.0
_CRASH = "crash"


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
        with suppress(WriteConflict), self._promoter.writing(_PROOF_WAIT_SECONDS):
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


class Revoker:
    """Bars a version from restart, rollback and push; other workers learn it from the ledger."""

    def __init__(
        self, promoter: Promoter, registry: Registry, audit: AuditTrail, clock: Clock
    ) -> None:
        self._promoter = promoter
        self._registry = registry
        self._audit = audit
        self._clock = clock

    def revoke(self, version: str, reason: str, who: str) -> str:
        """Roll back from a version if it serves, then bar it; returns what is served now.

        Raises:
            VersionUnknown: it was never accepted here.
            StillServing: it serves, and there is no version to roll back to.
            UnderstudyError, OSError: the rollback failed, or nothing could be written.
        """
        return self._promoter.repeated(lambda: self._revoke(version, reason, who))

    def _revoke(self, version: str, reason: str, who: str) -> str:
        if self._serves(version):
            try:
                self._promoter.rollback(None, f"revoked: {reason}", who, leaving=version)
            except (NoFallback, NotServing) as error:
                raise StillServing(f"{error}; push a newer version first") from error
        with self._promoter.writing(_WRITE_WAIT_SECONDS):
            accepted = self._registry.ledger.accepted
            if version not in accepted:
                raise VersionUnknown(version, sorted(accepted))
            if self._serves(version):
                raise StillServing(f"version {version} has come back into service; ask again")
            self._registry.revoke(
                version,
                reason,
                self._clock.now_us(),
                lambda: self._audit.write("revocation", who, reason, version=version),
            )
        # The revoked version may be the fallback in memory.
        self._promoter.catch_up()
        _log.warning(
            "version_revoked", version=version, reason=reason, serving=self._promoter.serving
        )
        return self._promoter.serving

    def _serves(self, version: str) -> bool:
        return version in (self._promoter.serving, self._registry.current())


class CrashRecovery:
    """Rolls back a version that killed its process too often."""

    def __init__(
        self,
        *,
        promoter: Promoter,
        registry: Registry,
        crashes: Crashes,
        audit: AuditTrail,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._promoter = promoter
        self._registry = registry
        self._crashes = crashes
        self._audit = audit
        self._clock = clock
        self._metrics = metrics

    def roll_back_crashing_version(self) -> None:
        """Point to the version before the one that kills the process; call before the restore."""
        current = self._registry.current()
        if current is None or not self._crashes.is_too_many(current):
            return
        try:
            with self._promoter.writing(_WRITE_WAIT_SECONDS):
                self._promoter.pointer.open_registry()
                self._roll_back(current)
        except (OSError, WriteConflict) as error:
            _log.error("crashing_version_rollback_failed", reason=str(error))

    def _roll_back(self, current: str) -> None:
        """Callers are alone with the registry."""
        registry, crashes = self._registry, self._crashes
        if registry.current() != current:
            return  # another worker has already rolled back
        target = registry.fallback_for(current)
        if target is None:
            _log.error("crashing_version_has_no_fallback", version=current)
            return
        reason = f"{crashes.recent(current)} processes died inside of its code"
        step = Rollback(target, current, current, _CRASH, _CRASH, reason, self._clock.now_us())
        step.record(registry, self._audit)
        self._metrics.rollbacks.inc()
        self._metrics.swaps.inc()
        _log.error("crashing_version_rolled_back", version=target, left=current, reason=reason)
