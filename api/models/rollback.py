"""A rollback as it is recorded, at once or as soon as the registry can be written again."""

from dataclasses import dataclass

from api.registry.audit import AuditTrail
from api.registry.ledger import Ending
from api.registry.registry import Registry
from shared.bundle.version import Version


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
