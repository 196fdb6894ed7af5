"""Rows of a declared use case, as `understudy rows` finds and changes them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from shared.rows.declaration import FILE_NAME, read_declaration
from shared.rows.schema import Column, Kind
from shared.rows.tables import row_logs, tables_of
from understudy.rows import RowsError, Subject, instant

_MOST_SHOWN = 12
_FLAGS = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}


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
    """Raises RowsError when the text is no value of the column."""
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
        raise RowsError(f"--set {name}: {text!r} is none of {', '.join(column.values)}")
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
