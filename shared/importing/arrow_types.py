"""Columns of Arrow as plain polars columns: wrappers off, raw bytes as the text they hold."""

import uuid
from typing import Any

import polars as pl
import pyarrow as pa

from shared.importing.mapping import MappingError

_UUID_BYTES = 16


def plain_frame(table: Any, columns: tuple[str, ...]) -> pl.DataFrame:
    """The named columns of a table, each of a type that polars and the readers know.

    Raises:
        MappingError: a column holds lists, structures or bytes that are no text.
    """
    return pl.DataFrame({name: _series(name, table.column(name)) for name in columns})


def _series(name: str, column: Any) -> pl.Series:
    plain = _unwrapped(name, column)
    if pa.types.is_null(plain.type):
        return pl.Series(name, [None] * len(plain), dtype=pl.String)
    series = pl.from_arrow(plain)
    if not isinstance(series, pl.Series):
        raise MappingError(f"column {name!r} holds {column.type}, which is no text or number")
    return series.alias(name)


def _unwrapped(name: str, column: Any) -> Any:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return _unwrapped(name, storage)
    if pa.types.is_dictionary(kind):
        return _unwrapped(name, column.cast(kind.value_type))
    if pa.types.is_nested(kind):
        raise MappingError(f"column {name!r} holds {kind}, which is no text, number or instant")
    if pa.types.is_decimal(kind) and kind.scale == 0:
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # what lies outside of the years 1677 to 2262 has wrapped around already
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return _decoded(name, column) if _is_bytes(kind) else column


def _is_bytes(kind: Any) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _decoded(name: str, column: Any) -> Any:
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == _UUID_BYTES:
        return _uuids(column)
    try:
        return column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid as error:
        raise MappingError(
            f"column {name!r} holds bytes that are no text in UTF-8; write it as text"
        ) from error


def _uuids(column: Any) -> Any:
    values = [None if raw is None else str(uuid.UUID(bytes=raw)) for raw in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])
