"""One step back as it is written down, at once or as soon as the registry can be written again."""

from dataclasses import dataclass

from api.registry.audit import AuditTrail
from api.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class StepBack:
    """From one version to another, why, and who asked for it.

    Attributes:
        what: its name in the audit trail.
        instead_of: what the pointer said then; once it says something else, this is history.
    """

    target: str
    left: str | None
    instead_of: str | None
    what: str
    who: str
    reason: str
    at_us: int

    def record(self, registry: Registry, audit: AuditTrail) -> None:
        """Callers hold the write lock and have read the ledger afresh.

        Raises:
            OSError: it could not be written.
        """
        ledger = registry.ledger
        if self.left is not None:
            ledger = ledger.with_rollback(self.left, self.reason, self.at_us)
        audit.write(self.what, self.who, self.reason, version=self.target, previous=self.left)
        registry.activate(self.target, ledger.with_activation(self.target, self.at_us))
