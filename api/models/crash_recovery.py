"""Recovery after a process died inside a version's code, before any request is answered."""

import structlog

from api.metrics import Metrics
from api.models.crashes import Crashes
from api.models.promoter import Promoter
from api.models.rollback import Rollback
from api.registry.audit import AuditTrail
from api.registry.registry import Registry
from shared.clock import Clock
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
_WHO = "crash"
_WRITE_WAIT_SECONDS = 5.0


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
        step = Rollback(target, current, current, _WHO, _WHO, reason, self._clock.now_us())
        step.record(registry, self._audit)
        self._metrics.rollbacks.inc()
        self._metrics.swaps.inc()
        _log.error("crashing_version_rolled_back", version=target, left=current, reason=reason)
