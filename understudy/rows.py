"""Implements `understudy rows`: finds, corrects and removes stored rows, and undoes changes."""

from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from sqlalchemy import Engine

from shared.clock import SystemClock, isoformat
from shared.tables.data_changes import (
    CHUNK,
    begin_change,
    end_change,
    list_changes,
    remove_rows,
    replace_rows,
    undo,
)
from shared.tables.engine import database_errors
from shared.tables.row_search import RowFilter, count_rows, first_rows, ids_of
from understudy.row_subjects import TRANSACTIONS, RowsError, Subject
from understudy.terminal import DataTable, second_of


def show_rows(
    engine: Engine,
    wanted: RowFilter,
    limit: int,
    console: Console,
    subject: Subject = TRANSACTIONS,
) -> None:
    """Print the first rows, and how many each log has.

    Raises:
        RowsError: a condition is about a column that these rows lack.
    """
    _refuse_absent(wanted, subject)
    with database_errors("find rows"), engine.connect() as connection:
        counts = count_rows(connection, wanted, subject.logs)
        rows = first_rows(connection, wanted, subject.shown, limit, subject.logs)
    for log, row in rows:
        sheet = DataTable("column", "value", title=log, min_width=40)
        for name in subject.shown:
            if row[name] is not None:
                value = isoformat(row[name]) if name == "event_time" else str(row[name])
                sheet.add_row(name, value)
        console.print(sheet)
    _print_counts(console, counts)


def remove_found(
    engine: Engine,
    wanted: RowFilter,
    reason: str,
    console: Console,
    *,
    is_confirmed: bool,
    subject: Subject = TRANSACTIONS,
) -> None:
    """Remove the rows that a filter finds.

    Raises:
        RowsError: no condition was given, or it finds nothing.
    """
    _confirm(engine, wanted, console, "Remove them?", subject, is_confirmed=is_confirmed)
    logs = subject.logs
    with database_errors("remove rows"), engine.begin() as connection:
        details: dict[str, Any] = {"filter": str(wanted), "rows": 0}
        number = begin_change(connection, "remove", SystemClock().now_us(), reason, details)
        for log in logs.logs:
            for part in _parts(ids_of(connection, wanted, log, logs)):
                remove_rows(connection, number, log, part, logs)
                details["rows"] += len(part)
        end_change(connection, number, details)
    _print_done(console, "removed", details["rows"], number)


def fix_found(
    engine: Engine,
    wanted: RowFilter,
    said: Sequence[str],
    reason: str,
    console: Console,
    *,
    is_confirmed: bool,
    subject: Subject = TRANSACTIONS,
) -> None:
    """Set columns of the rows that a filter finds.

    Raises:
        RowsError: no condition was given, it finds nothing, or a value does not fit its column.
    """
    values, logs = dict(_value(text, subject) for text in said), subject.logs
    question = f"Set {', '.join(said)}?"
    _confirm(engine, wanted, console, question, subject, is_confirmed=is_confirmed)
    with database_errors("mend rows"), engine.begin() as connection:
        details: dict[str, Any] = {"filter": str(wanted), "set": values, "rows": 0}
        number = begin_change(connection, "fix", SystemClock().now_us(), reason, details)
        for log in logs.logs:
            for part in _parts(ids_of(connection, wanted, log, logs)):
                rows = [{logs.row_id: key, **values} for key in part]
                replace_rows(connection, number, log, rows, tuple(values), logs=logs)
                details["rows"] += len(part)
        end_change(connection, number, details)
    _print_done(console, "corrected", details["rows"], number)


def show_changes(engine: Engine, limit: int, console: Console) -> None:
    """Print changes of rows, newest first."""
    sheet = DataTable("change", "what", "when", "who", "rows", "why", box=None, pad_edge=False)
    sheet.columns[2].no_wrap = True
    for change in list_changes(engine, limit):
        undone = "" if change.undone_by is None else f" (undone by {change.undone_by})"
        why = change.reason or ", ".join(change.details.get("files", []))
        rows = change.details.get("rows", "")
        cells = (second_of(change.changed_at), change.changed_by, rows, why)
        sheet.add_row(str(change.number), change.kind + undone, *(str(cell) for cell in cells))
    console.print(sheet)


def undo_change(
    engine: Engine,
    number: int,
    reason: str,
    console: Console,
    *,
    is_confirmed: bool,
    subject: Subject = TRANSACTIONS,
) -> None:
    """Take a change back.

    Raises:
        RowsError: there is no such change, or it cannot be undone.
    """
    if not is_confirmed:
        typer.confirm(f"Undo change {number}?", abort=True)
    try:
        counts = undo(engine, number, SystemClock().now_us(), reason, subject.logs)
    except LookupError as error:
        raise RowsError(str(error)) from error
    listed = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    console.print(f"Change {number} was undone: {listed}.")


def _refuse_absent(wanted: RowFilter, subject: Subject) -> None:
    columns = subject.logs.imported.c
    for option, column, value in (
        ("--merchant", "merchant_id", wanted.merchant_id),
        ("--amount-above", "amount", wanted.amount_above),
    ):
        if value is not None and column not in columns:
            raise RowsError(
                f"{option}: these rows have no column {column}; choose them by --id, --user (the "
                "entity), --sent-by, --import, --before or --after"
            )


def _confirm(
    engine: Engine,
    wanted: RowFilter,
    console: Console,
    question: str,
    subject: Subject,
    *,
    is_confirmed: bool,
) -> None:
    if wanted.is_empty:
        raise RowsError("say which rows: --id, --user, --merchant, --import, --before, ...")
    _refuse_absent(wanted, subject)
    with database_errors("find rows"), engine.connect() as connection:
        counts = count_rows(connection, wanted, subject.logs)
    if not any(counts.values()):
        raise RowsError("no row matches; `understudy rows find` shows what there is")
    _print_counts(console, counts)
    if not is_confirmed:
        typer.confirm(question, abort=True)


def _value(said: str, subject: Subject) -> tuple[str, Any]:
    """A column and its new value.

    Raises:
        RowsError: there is no such column, or the value does not fit it.
    """
    name, separator, text = said.partition("=")
    if not separator or name not in subject.parsers:
        columns = ", ".join(subject.parsers)
        raise RowsError(f"--set {said}: write COLUMN=VALUE, where COLUMN is {columns}")
    return name, subject.parsers[name](text)


def _parts(ids: list[str]) -> list[list[str]]:
    return [ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK)]


def _print_counts(console: Console, counts: dict[str, int]) -> None:
    for log, count in counts.items():
        console.print(f"{count:,} rows in {log}")


def _print_done(console: Console, what: str, rows: int, number: int) -> None:
    console.print(
        f"{rows:,} rows {what}: change {number}. To take it back: "
        f'understudy rows undo {number} --reason "..."',
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
