"""How much worse a canary may be, and how much it takes to say so."""

from dataclasses import dataclass

CANARY_STAGES = 4


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """What a stage has to show before the next one.

    Attributes:
        alpha: chance that a candidate as good as the champion is ever rolled back, over all
            comparisons, all looks and all stages.
        mismatch_alpha: the same for the test of the split, for each stage.
        stage_minimum_seconds: a stage lasts at least this long.
        stage_minimum_requests: of each arm; less extends the stage, for ever if need be.
        alert_rate_tolerated: the alert rate may differ by this share of the champion's ...
        alert_points_tolerated: ... or by this much, whichever is more.
        latency_tolerated: mean latency may grow by this share of the champion's ...
        latency_ms_tolerated: ... or by this much, whichever is more.
        scores_tolerated: largest gap between the arms' score distributions.
        minimum_groups: fewer groups of users tell nothing about the spread between users.
    """

    alpha: float = 0.05
    mismatch_alpha: float = 0.001
    stage_minimum_seconds: float = 1_800.0
    stage_minimum_requests: int = 1_000
    alert_rate_tolerated: float = 0.25
    alert_points_tolerated: float = 0.01
    latency_tolerated: float = 0.5
    latency_ms_tolerated: float = 1.0
    scores_tolerated: float = 0.1
    minimum_groups: int = 16

    @property
    def stage_alpha(self) -> float:
        return self.alpha / CANARY_STAGES
