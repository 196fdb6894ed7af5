"""A version on trial, as scoring sees it: a member of the model slot, None when there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from shared.usecase.serving import FloatMatrix, FloatVector

if TYPE_CHECKING:
    from api.journal.entries import Decided
    from api.models.loaded import LiveModel, Pace

ModelScores = tuple["LiveModel", FloatVector]
"""The model that answers for a row, and its scores, all of them finite."""


class Trial(Protocol):
    """The rollout's interface for scoring; it never fails because of the candidate."""

    @property
    def champion(self) -> str:
        """The version it is measured against."""
        ...

    @property
    def version(self) -> str:
        """The version on trial."""
        ...

    @property
    def pace(self) -> "Pace":
        """The candidate's latency on rows that it answers."""
        ...

    def try_candidate(self, users: Sequence[str], matrix: FloatMatrix) -> dict[int, ModelScores]:
        """Row -> which model answers it and with which scores; the others are the champion's.

        Never raises: what the candidate cannot score is omitted.
        """
        ...

    def noted(self, decided: "Decided", latency_ms: float | None) -> None:
        """Record an answered row; None: its latency is unknown."""
        ...
