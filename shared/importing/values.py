"""Reads texts, numbers and labels out of whatever type a column happens to have."""

import polars as pl

from shared.importing.mapping import MappingError

_LABELS = {
    "0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1,
}  # fmt: skip


def text(source: str, dtype: pl.DataType) -> pl.Expr:
    """Identifiers and words; blank is null, and a whole number in a float column stays whole."""
    raw = pl.col(source)
    if dtype == pl.String:
        stripped = raw.str.strip_chars()
        return pl.when(stripped != "").then(stripped)
    if dtype.is_float():
        whole = raw.is_finite() & (raw == raw.floor()) & (raw.abs() < 2**53)
        as_whole = raw.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(whole).then(as_whole).when(~raw.is_nan()).then(raw.cast(pl.String))
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise MappingError(f"column {source!r} holds {dtype}, which is no text")
    return raw.cast(pl.String)


def number(source: str, dtype: pl.DataType) -> pl.Expr:
    """Numbers; what is no number is null."""
    raw = pl.col(source)
    if dtype == pl.String:
        return raw.str.strip_chars().cast(pl.Float64, strict=False)
    if dtype.is_numeric() or dtype == pl.Null:
        return raw.cast(pl.Float64, strict=False)
    raise MappingError(f"column {source!r} holds {dtype}, which is no number")


def label(source: str, dtype: pl.DataType) -> pl.Expr:
    """0 and 1, however they are written; anything else is null."""
    raw = pl.col(source)
    if dtype == pl.Boolean:
        return raw.cast(pl.Int8)
    written = text(source, dtype).str.to_lowercase()
    return written.replace_strict(_LABELS, default=None, return_dtype=pl.Int8)
