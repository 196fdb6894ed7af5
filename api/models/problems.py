"""HTTP problems of refused pushes and rollbacks."""

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
from api.models.refusals import (
    FencingStale,
    NoFallback,
    NoRollout,
    NotServing,
    RolloutConflict,
    StillServing,
    VersionNotNewer,
    VersionUnknown,
)
from shared.errors import (
    BundleError,
    BundleTooLarge,
    ModelLoadError,
    SignatureInvalid,
    UnderstudyError,
)
from shared.storage.object_store import WriteConflict

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
