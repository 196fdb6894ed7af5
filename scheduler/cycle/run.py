"""One run of the cycle in progress: what it works with and what it has to show so far."""

from dataclasses import dataclass, field

from scheduler.cycle.as_of import AsOf
from scheduler.cycle.champion import Champion
from scheduler.cycle.context import CycleContext
from scheduler.cycle.evaluation import Evaluation
from scheduler.cycle.examples import Examples
from scheduler.cycle.packaging import Draft, Sealed
from scheduler.cycle.report import RunReport
from scheduler.cycle.steps import StepLog
from shared.bundle.archive import Bundle
from shared.bundle.version import Version
from shared.tables.runs import Run


@dataclass(slots=True)
class RunArtifacts:
    """Filled in as the cycle goes; None is what it did not get to.

    Attributes:
        approved: the bundle of an earlier attempt, which a person has approved since.
    """

    champion: Champion | None = None
    examples: Examples | None = None
    draft: Draft | None = None
    evaluation: Evaluation | None = None
    sealed: Sealed | None = None
    approved: Bundle | None = None


@dataclass(frozen=True, slots=True)
class CycleRun:
    """Handed from step to step.

    Attributes:
        as_of: the instant whose knowledge the run may use, and when it began.
        claim: the row of the run as it was claimed; None where nothing is claimed.
    """

    context: CycleContext
    steps: StepLog
    report: RunReport
    as_of: AsOf
    artifacts: RunArtifacts = field(default_factory=RunArtifacts)
    claim: Run | None = None

    @property
    def as_of_us(self) -> int:
        return self.as_of.as_of_us

    @property
    def announced_version(self) -> Version | None:
        """The version an earlier attempt at this run was about to push, if it got that far."""
        claim = self.claim
        if claim is None or claim.candidate_sha256 is None or claim.model_version is None:
            return None
        return Version.parse(claim.model_version)
