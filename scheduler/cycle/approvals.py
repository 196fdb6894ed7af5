"""Approvals by people: whether one is required, and whether it was given."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from scheduler.decision import PromotionDecision
from scheduler.publisher import NotPromoted
from shared.bundle.version import Version
from shared.tables.approvals import (
    Approval,
    ApprovalState,
    approval_of,
    is_approved,
    spoil,
    waiting,
)
from shared.tables.runs import Run


class Approvals(Protocol):
    """The requirement for approvals, and the rulings so far."""

    @property
    def expires_seconds(self) -> float | None:
        """Seconds a candidate waits for approval; None: no approval is required."""
        ...

    def given(self, run: Run) -> Approval | None:
        """The approval of what an earlier attempt at this run made.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...

    def waiting_versions(self) -> frozenset[Version]:
        """Candidates that wait: their files are needed.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...

    def spoil(self, run: Run, reason: str) -> None:
        """Marks an approved candidate as no longer promotable."""
        ...


class NoApprovals:
    """Promotion without approvals."""

    expires_seconds: float | None = None

    def given(self, _run: Run) -> Approval | None:
        return None

    def waiting_versions(self) -> frozenset[Version]:
        return frozenset()

    def spoil(self, run: Run, reason: str) -> None:
        raise NotImplementedError("nothing is approved where no person is asked")


@dataclass(frozen=True, slots=True)
class DatabaseApprovals:
    """Approvals in the database; those given before the setting was changed still count."""

    engine: Engine
    expires_seconds: float | None

    def given(self, run: Run) -> Approval | None:
        found = approval_of(self.engine, run.run_id)
        return found if found is not None and found.state is ApprovalState.APPROVED else None

    def waiting_versions(self) -> frozenset[Version]:
        return frozenset(Version.parse(one.version) for one in waiting(self.engine))

    def spoil(self, run: Run, reason: str) -> None:
        spoil(self.engine, run.run_id, reason)

    def check(self, decision: PromotionDecision) -> None:
        """The publisher's own look: no bundle is signed or pushed that no person approved.

        Raises:
            NotPromoted: an approval is required, and there is none of these bytes.
            DataUnavailable: it is not known.
        """
        if self.expires_seconds is None:
            return
        inputs = decision.inputs
        version, sha256 = str(inputs.candidate_version), str(inputs.candidate_sha256)
        if not is_approved(self.engine, version, sha256):
            raise NotPromoted(f"APPROVAL=required, and no person has approved {version}")
