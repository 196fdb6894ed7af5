"""Changes that a command makes in the database itself: each leaves a line with person and reason.

The line goes into the audit trail where that is available, as on one machine and in the API's
container. Elsewhere, as in the scheduler's container, it goes into the database, to the changes by
command. The console's page Trail shows both.
"""

from sqlalchemy import Engine

from shared.clock import SystemClock
from shared.errors import DataUnavailable
from shared.tables.data_changes import ChangeKind, begin_change
from shared.tables.engine import database_errors
from understudy.settings import CommandSettings

NO_REASON = "no reason given"
_SENDER = "command"


def write_down(
    settings: CommandSettings,
    engine: Engine,
    kind: ChangeKind,
    person: str,
    reason: str | None,
    **details: object,
) -> None:
    """Write down a change that was just made.

    Raises:
        DataUnavailable: the change is made, but the line could not be kept.
    """
    why, clock = reason or NO_REASON, SystemClock()
    try:
        if _is_in_trail(settings, kind, f"{_SENDER}/{person}", why, details):
            return
    except OSError as error:
        raise DataUnavailable(
            f"it is done, but the audit trail could not be written: {error.strerror}"
        ) from error
    with database_errors("write down a change"), engine.begin() as connection:
        begin_change(connection, kind, clock.now_us(), why, details, by=person)


def _is_in_trail(
    settings: CommandSettings, what: str, who: str, why: str, details: dict[str, object]
) -> bool:
    trail = settings.prod_models_dir / "audit.jsonl"
    if not trail.is_file():
        return False
    try:
        from api.registry.audit import AuditTrail  # noqa: PLC0415 - not in the scheduler's image
    except ModuleNotFoundError:
        return False
    AuditTrail(trail, SystemClock()).write(what, who, why, **details)
    return True
