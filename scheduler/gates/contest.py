"""The input of the metrics gate: two models' scores of the same rows, with their context."""

from dataclasses import dataclass

from scheduler.statistics.evidence import Evidence

GATE = "metrics"


@dataclass(frozen=True, slots=True)
class Contest:
    """A candidate, and the champion it would replace, on the rows of the evidence.

    Attributes:
        evidence: its `champion` is None when there are no scores of one.
        champion_version: None when nothing serves yet.
        new_recipe: features, algorithm or hyperparameters differ from the champion's.
        unscorable_reason: why there is a champion, but no scores of it.
    """

    evidence: Evidence
    champion_version: str | None
    new_recipe: bool
    unscorable_reason: str | None
