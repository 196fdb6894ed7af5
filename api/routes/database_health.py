"""How the database is: reached, with tables of this version, in its file, and read in time."""

import time

from sqlalchemy import Engine

from shared.contracts.health import State
from shared.errors import DataUnavailable
from shared.tables.engine import file_of, is_current
from shared.tables.read_standing import standing_of

# For so long after the file was removed or replaced, what it held is likely to be missed.
_REMEMBERED_SECONDS = 3_600.0


def database_standing(engine: Engine) -> tuple[State, str]:
    """State and detail; the driver's own words may name hosts and users, and stay in the log."""
    try:
        is_ready = is_current(engine)
    except DataUnavailable:
        return "down", "cannot be reached; scoring goes on and decisions wait in the journal"
    if not is_ready:
        detail = (
            "answers, but its tables are missing or not those of this version; decisions wait in "
            "the journal until they can be made"
        )
        return "down", detail
    file = file_of(engine)
    changed_at = None if file is None else file.changed_at
    if changed_at is not None and time.monotonic() - changed_at < _REMEMBERED_SECONDS:
        detail = (
            "answers; its file was removed or replaced within the last hour: what that file held "
            "is not in this one"
        )
        return "degraded", detail
    return "ok", "answers"


def history_standing(reading: Engine) -> tuple[State, str, dict[str, float]]:
    """Whether what requests read of the past comes in time."""
    standing = standing_of(reading)
    seconds, figures = standing.failing_seconds, {"missed_reads": float(standing.missed_reads)}
    if seconds is None:
        return "ok", "read in time", figures
    detail = "cannot be read in time; rows are scored without what the database knows of the past"
    return "degraded", detail, figures | {"for_seconds": round(seconds, 1)}
