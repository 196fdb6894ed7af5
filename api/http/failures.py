"""Whatever was raised, as a problem that tells no internals; the log gets those."""

import structlog

from api.http.problems import INTERNAL, SCORING_FAILED, Problem

_log = structlog.get_logger()


def as_problem(error: Exception, path: str) -> Problem:
    """A problem tells itself; anything else goes to the log and is told without internals."""
    if not isinstance(error, Problem):
        _log.error("request_failed", path=path, exc_info=error)
        release(error)
        return Problem(INTERNAL, "the request could not be answered")
    if error.kind is SCORING_FAILED:
        _log.error("scoring_failed", path=path, detail=error.detail, exc_info=error.__cause__)
    release(error)
    return error


def release(error: BaseException) -> None:
    """Let go of where it was raised and why, once nobody will ask.

    A traceback holds every frame that it went through, and a frame that has a name for the
    error closes a circle: the body of the request, and all that was parsed of it, would stay
    until the collector comes by.
    """
    seen: BaseException | None = error
    while seen is not None:
        following = seen.__cause__ or seen.__context__
        seen.__traceback__ = seen.__cause__ = seen.__context__ = None
        seen = following
