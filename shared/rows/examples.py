"""Examples of requests: made of real rows when a use case is proposed, or of its declaration."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.clock import isoformat
from shared.rows.schema import Column, Kind, RowSchema

if TYPE_CHECKING:
    import polars as pl

EXAMPLES_FILE = "examples.json"
_SHOWN = 3
_JULY_2025_US = 1_751_328_000_000_000


def example_requests(schema: RowSchema, rows: "pl.DataFrame") -> dict[str, dict[str, Any]]:
    """Bodies of /predict out of rows that were accepted, from the beginning, middle and end.

    Neither ids nor times of the rows are in them: they are about people, and would grow old.
    """
    if rows.height == 0:
        return {"example": declared_example(schema)}
    places = sorted({0, rows.height // 2, rows.height - 1})[:_SHOWN]
    return {
        f"row {number}": _body(schema, rows.row(place, named=True))
        for number, place in enumerate(places, 1)
    }


def declared_example(schema: RowSchema) -> dict[str, Any]:
    """A body that the declaration accepts."""
    return {column.name: _standard(column) for column in schema.columns}


def read_examples(folder: Path, schema: RowSchema) -> Mapping[str, dict[str, Any]]:
    """The examples that were kept with a declaration, as far as they still fit its columns."""
    fallback = {"example": declared_example(schema)}
    try:
        kept = json.loads((folder / EXAMPLES_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return fallback
    if not isinstance(kept, dict):
        return fallback
    names = set(schema.names)
    fitting = {
        str(name): body
        for name, body in kept.items()
        if isinstance(body, dict) and set(body) <= names
    }
    return fitting or fallback


def _body(schema: RowSchema, row: Mapping[str, Any]) -> dict[str, Any]:
    values = {column.name: row[column.name] for column in schema.columns}
    for column in schema.columns:
        if column.kind is Kind.MOMENT and values[column.name] is not None:
            values[column.name] = isoformat(values[column.name])
    return {name: value for name, value in values.items() if value is not None}


def _standard(column: Column) -> Any:
    if column.default is not None:
        return column.default
    if column.kind is Kind.NUMBER:
        return min(max(1.0, column.minimum), column.maximum)
    if column.kind is Kind.FLAG:
        return True
    if column.kind is Kind.MOMENT:
        return isoformat(_JULY_2025_US)
    return column.values[0] if column.values else "example"
