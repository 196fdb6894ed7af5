"""The scope of `understudy drift`, and the quick answer if there are too few rows.

The comparison imports scipy, matplotlib and scikit-learn, which takes seconds on a good day. On a
first day there is nothing to compare, and two counts in the database say so.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, FromClause, func, select

import usecases
from scheduler.settings import SchedulerSettings
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, SystemClock, to_micros
from shared.errors import UnderstudyError
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.tables import served_rows, tables_of
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs
from understudy.settings import load_settings
from understudy.terminal import console, open_database, write_json

# The values of scheduler.drift; a test compares.
FEWEST_ROWS = 200
SHORTEST_SPAN_US = MICROS_PER_DAY - 2 * MICROS_PER_HOUR


NOT_CHECKED = 3


class DriftQuestionUnclear(UnderstudyError):
    """Raised when what was typed makes no sense."""


@dataclass(frozen=True, slots=True)
class DriftRequest:
    """The options as they were typed."""

    begin: str | None
    end: str | None
    against: str | None
    html: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """Half-open instants of event time, and now."""

    start_us: int
    end_us: int
    now_us: int


def asked_span(request: DriftRequest, days: float, now_us: int | None = None) -> AskedSpan:
    """The rows that are asked about; without --from, this many days.

    Raises:
        DriftQuestionUnclear: --from or --to is not an instant, or they are the wrong way round.
    """
    now_us = SystemClock().now_us() if now_us is None else now_us
    end_us = now_us if request.end is None else _instant("--to", request.end)
    start_us = end_us - round(days * MICROS_PER_DAY)
    if request.begin is not None:
        start_us = _instant("--from", request.begin)
    if start_us >= end_us:
        raise DriftQuestionUnclear("--from has to be earlier than --to")
    return AskedSpan(start_us, end_us, now_us)


def too_little(request: DriftRequest, settings: SchedulerSettings, span: AskedSpan) -> str | None:
    """The reason there is too little to compare; None: only the comparison can tell.

    Raises:
        DatabaseNotThere: there is no database where the settings say.
        DataUnavailable: the database cannot be read.
    """
    with open_database(load_settings()) as engine:
        table = _served(settings.use_case)
        shown, first_us, last_us = _counted(engine, table, span)
        if shown < FEWEST_ROWS and _labelled(engine, table) < FEWEST_ROWS:
            return f"{shown} rows, {FEWEST_ROWS} are needed"
    hours = (last_us - first_us) / MICROS_PER_HOUR
    if request.begin is None and shown and last_us - first_us < SHORTEST_SPAN_US:
        return f"the {shown} rows are from {hours:.1f} hours; whole days are compared"
    return None


def _served(use_case: str) -> FromClause:
    folder = usecases.declared_folder(use_case)
    if folder is None:
        return api_transaction_logs
    return served_rows(tables_of(read_declaration(folder / FILE_NAME).row_schema))


def _counted(engine: Engine, table: FromClause, span: AskedSpan) -> tuple[int, int, int]:
    """The number of rows that the comparison would read, and the first and last of them."""
    query = select(func.count(), func.min(table.c.event_time), func.max(table.c.event_time)).where(
        table.c.event_time >= span.start_us,
        table.c.event_time < span.end_us,
        table.c.ingested_at <= span.now_us,
        table.c.component_scores.is_not(None),
    )
    with database_errors("count what was served"), engine.connect() as connection:
        count, first_us, last_us = connection.execute(query).one()
    return count, first_us or 0, last_us or 0


def _labelled(engine: Engine, table: FromClause) -> int:
    """Labels of the time before are compared, too; no more of them are counted than matter."""
    some = select(table.c.event_time).where(table.c.label.is_not(None)).limit(FEWEST_ROWS)
    query = select(func.count()).select_from(some.subquery())
    with database_errors("count the labels"), engine.connect() as connection:
        return connection.scalar(query) or 0


def _instant(option: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DriftQuestionUnclear(
            f"{option}: {text!r} is not a day or instant like 2026-11-01 or 2026-11-01T12:00:00Z"
        ) from error
    return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def tell_not_checked(reason: str, *, as_json: bool) -> int:
    """Print why nothing is known; returns the exit status."""
    if as_json:
        write_json({"alarm": None, "checked": False, "reason": reason})
    else:
        console.print(f"Not known: {reason}.", style="yellow", highlight=False, soft_wrap=True)
    return NOT_CHECKED
