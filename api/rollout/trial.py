"""A version on trial, as the reconciler holds it."""

from typing import Protocol

from api.models.trial import Trial
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import Counters


class RolloutTrial(Trial, Protocol):
    """A trial of a rollout, with what it counts."""

    @property
    def rollout(self) -> Rollout: ...

    @property
    def counters(self) -> Counters: ...

    def settle(self) -> None:
        """Called about twice a second, never by scoring."""
        ...

    def stop(self) -> None:
        """The trial is over; write what was counted."""
        ...
