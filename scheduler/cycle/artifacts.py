"""What a run found out on its way, kept so that it can be shown when the run is over."""

from dataclasses import dataclass

from scheduler.cycle.champion import Champion
from scheduler.cycle.evaluation import Evaluation
from scheduler.cycle.examples import Examples
from scheduler.cycle.packaging import Draft, Sealed


@dataclass(slots=True)
class RunArtifacts:
    """Filled in as the cycle goes; None is what it did not get to."""

    champion: Champion | None = None
    examples: Examples | None = None
    draft: Draft | None = None
    evaluation: Evaluation | None = None
    sealed: Sealed | None = None
