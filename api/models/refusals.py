"""Exceptions for refused changes of the live version, besides faults of the bundle itself."""

from collections.abc import Sequence

from shared.bundle.version import Version
from shared.errors import UnderstudyError

_NAMED = 10


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

    def __init__(self, version: str | None, known: Sequence[str]) -> None:
        newest = sorted(known, key=Version.parse, reverse=True)
        listed = ", ".join(newest[:_NAMED]) or "none"
        more = f" and {len(newest) - _NAMED} older" if len(newest) > _NAMED else ""
        super().__init__(f"there is no version {str(version)[:40]!r}; known: {listed}{more}")
        self.known = list(known)


class NoRollout(Refusal):
    """Raised when no version is being rolled out."""


class RolloutConflict(Refusal):
    """Raised when the rollout is another one, or further on, than the caller believes."""
