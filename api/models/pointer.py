"""The pointer, `current_version.txt`: moved by a rollback, restored when lost, audited by hand.

A rollback is recorded at once, or as soon as the registry can be written again. Every change
through the service writes the pointer and then the ledger. A pointer that says something else than
the ledger, beyond the moment in between, was written by hand.
"""

from dataclasses import dataclass

import structlog

from api.metrics import Metrics
from api.registry.audit import AuditTrail
from api.registry.ledger import Ending
from api.registry.registry import Registry
from shared.bundle.version import Version
from shared.clock import Clock, wall_ns
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
_WHO = "registry"
# A promotion writes pointer and ledger within milliseconds: older differences are by hand.
_HALF_A_PROMOTION_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback: the versions, the reason, and the requester.

    Attributes:
        what: its name in the audit trail.
        instead_of: the pointer's version then; once the pointer names another one, this record is
            obsolete.
        named: the target, where the caller named it.
    """

    target: str
    left: str | None
    instead_of: str | None
    what: str
    who: str
    reason: str
    at_us: int
    named: str | None = None

    @property
    def blamed(self) -> bool:
        """True if the version rolled back from is barred as a fallback.

        A return by name to a newer version is no evidence against the one before it.
        """
        if self.named is None or self.left is None:
            return True
        return Version.parse(self.named) < Version.parse(self.left)

    def record(self, registry: Registry, audit: AuditTrail) -> None:
        """Callers hold the write lock and have read the ledger afresh.

        Raises:
            WriteConflict: another host was faster; nothing was changed.
            OSError: it could not be written.
        """
        ledger, details = registry.ledger, {} if self.blamed else {"blamed": False}
        if self.left is not None and self.blamed:
            ended = Ending.CRASHED if self.what == "crash" else Ending.ROLLED_BACK
            ledger = ledger.with_rollback(self.left, self.reason, self.at_us, ended)
        registry.commit(
            ledger.with_activation(self.target, self.at_us),
            current=self.target,
            may_be_owed=True,
            audited=lambda: audit.write(
                self.what, self.who, self.reason, version=self.target, previous=self.left, **details
            ),
        )


@dataclass(frozen=True, slots=True)
class Behind:
    """A version that this process should serve and cannot load."""

    version: str
    reason: str


class Pointer:
    """The pointer file; callers of methods that write hold the registry's lock."""

    def __init__(
        self, registry: Registry, audit: AuditTrail, clock: Clock, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._audit = audit
        self._clock = clock
        self._metrics = metrics

    def open_registry(self) -> None:
        """Read the registry after a start and record what was repaired."""
        for mended in self._registry.open():
            self._count_hand_change(mended.what == "hand-change")
            self._report(mended.what, mended.why, **mended.details)
        if self._audit.is_missing and self._registry.ledger.accepted:
            _log.warning("audit_trail_missing", accepted=len(self._registry.ledger.accepted))

    def restore(self, version: str) -> None:
        """Write a pointer that is missing, or names no version, again."""
        ledger = self._registry.ledger
        last = ledger.served_last
        try:
            if last is None or last.version != version:
                ledger = ledger.with_activation(version, self._clock.now_us())
            self._registry.commit(ledger, current=version, may_be_owed=True)
        except (OSError, WriteConflict) as error:
            _log.warning("pointer_not_restored", version=version, error=str(error))
            return
        self._report("pointer-restored", "current_version.txt named no version", version=version)

    def was_moved_by_hand(self, wanted: str) -> bool:
        """True if the pointer names another version than the ledger, as last read, has live."""
        ledger = self._registry.ledger
        last = ledger.served_last
        return last is not None and last.version != wanted and not ledger.is_revoked(wanted)

    def note_hand_change(self, wanted: str) -> None:
        """Write a change by hand down, unless another worker was faster or it was none.

        Raises:
            OSError: it could not be written.
        """
        if self._registry.current() != wanted or not self.was_moved_by_hand(wanted):
            return
        ledger = self._registry.ledger
        left = None if ledger.served_last is None else ledger.served_last.version
        why = "current_version.txt was changed by hand"
        self._report("hand-change", why, version=wanted, previous=left)
        self._registry.save(ledger.with_hand_change(wanted, self._clock.now_us()))
        self._count_hand_change(1)

    def names_a_stranger(self, wanted: str) -> Behind | None:
        """True if the ledger does not know the pointer's version: briefly so in a promotion."""
        try:
            age_seconds = (wall_ns() - self._registry.pointer.stat().st_mtime_ns) / 1e9
        except OSError:
            return None
        if age_seconds <= _HALF_A_PROMOTION_SECONDS:
            return None
        return Behind(wanted, "current_version.txt names a version that was never accepted here")

    def _count_hand_change(self, count: int) -> None:
        self._metrics.hand_changes.inc(count)
        self._metrics.swaps.inc(count)

    def _report(self, what: str, why: str, **details: object) -> None:
        """Log and audit; a trail that takes no lines does not stop a start."""
        _log.warning(what.replace("-", "_"), reason=why, **details)
        try:
            self._audit.write(what, _WHO, why, **details)
        except OSError as error:
            _log.error("audit_line_not_kept", what=what, error=str(error))
