"""Columns that `understudy rows` may show and change: those of each use case's rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy import Float as FloatType

import usecases
from shared.errors import UnderstudyError
from shared.importing.times import read_time_texts
from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.schema import Column, Kind
from shared.rows.tables import row_logs, tables_of
from shared.tables.data_changes import TRANSACTION_LOGS, RowLogs
from shared.tables.schema import transaction_history_logs

_MOST_SHOWN = 12
_FLAGS = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}
_SHOWN = ("transaction_id", "event_time", "user_id", "merchant_id", "amount", "label", "sent_by")
# Columns that cannot be set: ids identify rows, and labels have their own history.
_FIXED = ("transaction_id", "label", "label_known_at", "label_source", "label_sent_by", "sent_by")
FIXABLE = tuple(
    column.name for column in transaction_history_logs.columns if column.name not in _FIXED
)


@dataclass(frozen=True, slots=True)
class Subject:
    """The rows of one use case, as commands speak of them.

    Attributes:
        shown: columns of a row that are printed.
        parsers: column that may be set -> reads its new value.
    """

    logs: RowLogs
    shown: tuple[str, ...]
    parsers: Mapping[str, Callable[[str], Any]]


class RowsError(UnderstudyError):
    """Raised when what was asked of rows cannot be done; nothing was changed."""


def _transaction_value(name: str, text: str) -> Any:
    column = transaction_history_logs.c[name]
    if text == "":
        if not column.nullable:
            raise RowsError(f"--set {name}: this column cannot be empty")
        return None
    return _parsed(name, column.type, text)


TRANSACTIONS = Subject(
    TRANSACTION_LOGS, _SHOWN, {name: partial(_transaction_value, name) for name in FIXABLE}
)


def subject_of(use_case: str) -> Subject:
    """The rows of a use case.

    Raises:
        DeclarationError: its declaration is wrong.
    """
    folder = usecases.declared_folder(use_case)
    if folder is None:
        return TRANSACTIONS
    return declared_subject(folder)


def declared_subject(folder: Path) -> Subject:
    """The rows of the declaration in a folder.

    Raises:
        DeclarationError: it is wrong.
    """
    schema = read_declaration(folder / FILE_NAME).row_schema
    parsers: dict[str, Callable[[str], Any]] = {
        column.name: partial(_value, column) for column in schema.columns
    }
    for name in ("event_time", "ingested_at"):
        parsers[name] = partial(instant, name)
    shown = ("row_id", "event_time", "entity", *schema.names[:_MOST_SHOWN], "label", "sent_by")
    return Subject(row_logs(tables_of(schema)), shown, parsers)


def _value(column: Column, text: str) -> Any:
    """Raises RowsError when the text is not a value of the column."""
    name = column.name
    if text == "":
        if column.required:
            raise RowsError(f"--set {name}: this column cannot be empty (required = false allows)")
        return None
    if column.kind is Kind.MOMENT:
        return instant(name, text)
    if column.kind is Kind.FLAG:
        found = _FLAGS.get(text.lower())
        if found is None:
            raise RowsError(f"--set {name}: {text!r} is neither yes nor no")
        return found
    if column.kind is Kind.NUMBER:
        return _number(column, text)
    if column.values and text not in column.values:
        raise RowsError(f"--set {name}: {text!r} is not one of {', '.join(column.values)}")
    return text


def _number(column: Column, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise RowsError(f"--set {column.name}: {text!r} is not a number") from error
    if not column.minimum <= number <= column.maximum:
        bounds = f"{column.minimum:g} to {column.maximum:g}"
        raise RowsError(f"--set {column.name}: {text} is outside of {bounds}")
    return number


def _parsed(name: str, kind: Any, text: str) -> Any:
    if name in ("event_time", "ingested_at"):
        return instant(name, text)
    try:
        if isinstance(kind, FloatType):
            return float(text)
        return int(text) if kind.python_type is int or isinstance(kind, BigInteger) else text
    except ValueError as error:
        raise RowsError(f"--set {name}: {text!r} is not a number") from error


def instant(name: str, text: str) -> int:
    """The instant that was written.

    Raises:
        RowsError: it is none, or names no zone.
    """
    import polars as pl  # noqa: PLC0415 - half a second that only this value costs

    said = read_time_texts(pl.Series([text]), None)
    if said.naive_us[0] is None or said.offset_us[0] is None:
        raise RowsError(f"--set {name}: write an instant with its zone, like 2026-01-05T10:15:00Z")
    return int(said.naive_us[0] - said.offset_us[0])
