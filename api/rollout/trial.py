"""A version on trial, as the hot path sees it: one attribute that is None when there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from api.rollout.state import Rollout
from shared.transaction import Transaction
from shared.usecase.serving import FloatMatrix, FloatVector

if TYPE_CHECKING:
    from api.journal.entries import Decided
    from api.models.live import LiveModel

Scored = tuple["LiveModel", FloatVector]
"""The model that answers for a row, and its scores; they may be unusable, as ever."""


class Trial(Protocol):
    """What scoring asks of a rollout; it never fails because of the candidate."""

    @property
    def rollout(self) -> Rollout: ...

    def score(
        self, transactions: Sequence[Transaction], matrix: FloatMatrix, live: "LiveModel"
    ) -> list[Scored]:
        """Score rows, each by the version of its arm.

        Raises:
            Problem: the champion failed.
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
