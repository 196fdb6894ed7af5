"""A version on trial, as the hot path sees it: one attribute that is None when there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from api.rollout.counters import Counters
from api.rollout.state import Rollout
from shared.usecase.serving import FloatMatrix, FloatVector

if TYPE_CHECKING:
    from api.journal.entries import Decided
    from api.models.loaded import LiveModel
    from api.models.pace import Pace

Scored = tuple["LiveModel", FloatVector]
"""The model that answers for a row, and its scores, all of them finite."""


class Trial(Protocol):
    """What scoring asks of a rollout; it never fails because of the candidate."""

    @property
    def rollout(self) -> Rollout: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def pace(self) -> "Pace":
        """How long the candidate takes where rows are answered."""
        ...

    def try_candidate(self, users: Sequence[str], matrix: FloatMatrix) -> dict[int, Scored]:
        """Row -> who answers it and with which scores; rows left out are the champion's.

        Never raises: what the candidate cannot score is left out.
        """
        ...

    def noted(self, decided: "Decided", latency_ms: float | None) -> None:
        """A row was answered; None: its own time is not known."""
        ...

    def settle(self) -> None:
        """Called about twice a second, never by scoring."""
        ...

    def stop(self) -> None:
        """The trial is over; write what was counted."""
        ...
