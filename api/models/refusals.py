"""Refused changes of the live version, besides faults of the bundle: when, and as which problem."""

from collections.abc import Sequence

from api.http.problems import (
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    MODEL_UNUSABLE,
    NO_FALLBACK,
    NO_ROLLOUT,
    ORDER_EXPIRED,
    REGISTRY_FAILED,
    ROLLOUT_CONFLICT,
    STALE_FENCING,
    TOO_LARGE,
    UNKNOWN_VERSION,
    VERSION_CHANGED,
    VERSION_CONFLICT,
    Problem,
    ProblemKind,
)
from api.registry.ledger import Ledger
from shared.bundle.version import Version
from shared.errors import (
    BundleError,
    BundleTooLarge,
    ModelLoadError,
    SignatureInvalid,
    UnderstudyError,
)
from shared.storage.object_store import WriteConflict

_NAMED = 10
ROLLBACK_PROBLEMS = (
    VERSION_CHANGED,
    ORDER_EXPIRED,
    UNKNOWN_VERSION,
    NO_FALLBACK,
    MODEL_UNUSABLE,
    BAD_SIGNATURE,
    BUNDLE_MALFORMED,
    REGISTRY_FAILED,
)
"""The obstacles to a rollback to an older version."""


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


def check_order(ledger: Ledger, offered: Version, fencing_number: int | None) -> None:
    """Checks that a pushed version is newer than all others and comes from the newest scheduler.

    Raises:
        FencingStale, VersionNotNewer: says what came before.
    """
    _check_fencing(ledger, fencing_number)
    newest = ledger.newest
    if newest is not None and offered <= newest:
        what = "has been accepted before" if offered == newest else "is older"
        raise VersionNotNewer(
            f"version {offered} {what}; newest accepted is {newest}. A version that was accepted "
            "is served again by a rollback to it by name"
        )


def check_step(ledger: Ledger, fencing_number: int | None) -> None:
    """Raises FencingStale when another scheduler has pushed, or moved a rollout, since."""
    _check_fencing(ledger, fencing_number)
    newest = ledger.step_fencing_number
    if fencing_number is not None and fencing_number < newest:
        raise FencingStale(f"fencing number {fencing_number} is older than {newest}")


def _check_fencing(ledger: Ledger, fencing_number: int | None) -> None:
    """Raises FencingStale when another scheduler has taken over since."""
    if fencing_number is not None and fencing_number < ledger.fencing_number:
        raise FencingStale(f"fencing number {fencing_number} is older than {ledger.fencing_number}")


# The first class that fits names the problem.
_KINDS: tuple[tuple[type[Exception], ProblemKind], ...] = (
    (SignatureInvalid, BAD_SIGNATURE),
    (BundleTooLarge, TOO_LARGE),
    (BundleError, BUNDLE_MALFORMED),
    (ModelLoadError, MODEL_UNUSABLE),
    (VersionNotNewer, VERSION_CONFLICT),
    (FencingStale, STALE_FENCING),
    (NoFallback, NO_FALLBACK),
    (StillServing, NO_FALLBACK),
    (NotServing, VERSION_CHANGED),
    (VersionUnknown, UNKNOWN_VERSION),
    (NoRollout, NO_ROLLOUT),
    (RolloutConflict, ROLLOUT_CONFLICT),
    (WriteConflict, REGISTRY_FAILED),
    (OSError, REGISTRY_FAILED),
)


def as_problem(error: UnderstudyError | OSError) -> Problem:
    """The problem that says why; a fault of the disk is reported without its paths."""
    for kind_of_error, kind in _KINDS:
        if not isinstance(error, kind_of_error):
            continue
        if isinstance(error, OSError):
            return Problem(kind, error.strerror or "input/output error")
        if isinstance(error, VersionUnknown):
            return Problem(kind, str(error), known_versions=error.known)
        return Problem(kind, str(error))
    raise error
