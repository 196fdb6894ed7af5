"""Why a change of a rollout is refused."""

from api.models.refusals import Refusal


class NoRollout(Refusal):
    """Raised when no version is being rolled out."""


class RolloutConflict(Refusal):
    """Raised when the rollout is another one, or further on, than the caller believes."""
