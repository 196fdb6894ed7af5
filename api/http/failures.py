"""Whatever was raised, as a problem that tells no internals; the log gets those."""

import structlog

from api.http.problems import INTERNAL, SCORING_FAILED, Problem

_log = structlog.get_logger()


def as_problem(error: Exception, path: str) -> Problem:
    """A problem tells itself; anything else goes to the log and is told without internals."""
    if not isinstance(error, Problem):
        _log.error("request_failed", path=path, exc_info=error)
        return Problem(INTERNAL, "the request could not be answered")
    if error.kind is SCORING_FAILED:
        _log.error("scoring_failed", path=path, detail=error.detail, exc_info=error.__cause__)
    return error
