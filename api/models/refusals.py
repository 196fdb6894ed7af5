"""Why a change of the live version is refused, besides faults of the bundle itself."""

from collections.abc import Sequence

from shared.errors import UnderstudyError


class Refusal(UnderstudyError):
    """Base of the refusals below."""


class VersionNotNewer(Refusal):
    """Raised for a replay or a downgrade."""


class FencingStale(Refusal):
    """Raised when a scheduler pushes that another one has replaced."""


class NoFallback(Refusal):
    """Raised when there is no version to roll back to."""


class NotServing(Refusal):
    """Raised when the version to roll back from is not the live one any more."""


class StillServing(Refusal):
    """Raised when a version is to be revoked and there is nothing to serve in its place."""


class VersionUnknown(Refusal):
    """Raised when the named version is not on disk; names those that are."""

    def __init__(self, text: str, known: Sequence[str]) -> None:
        super().__init__(text)
        self.known = list(known)


class NoRollout(Refusal):
    """Raised when no version is being rolled out."""


class RolloutConflict(Refusal):
    """Raised when the rollout is another one, or further on, than the caller believes."""
