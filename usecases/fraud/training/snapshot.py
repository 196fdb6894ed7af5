"""The snapshot: rows of both logs as one table, as they were known at an instant."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Column, Engine, Select, Table, and_, case, select

from shared.errors import DataUnavailable
from shared.tables.engine import database_errors
from shared.tables.label_changes import labels_known_then
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from shared.transaction import OUR_RULES

ROWS_PER_READ = 50_000

SCHEMA = pl.Schema(
    {
        "transaction_id": pl.String,
        "user_id": pl.String,
        "event_time": pl.Int64,
        "ingested_at": pl.Int64,
        "amount": pl.Float64,
        "currency": pl.String,
        "merchant_id": pl.String,
        "transaction_type": pl.String,
        "merchant_category": pl.String,
        "channel": pl.String,
        "country": pl.String,
        "lat": pl.Float64,
        "lon": pl.Float64,
        "home_lat": pl.Float64,
        "home_lon": pl.Float64,
        "device_id": pl.String,
        "utc_offset_min": pl.Int16,
        "label": pl.Int8,
        "label_known_at": pl.Int64,
        "label_source": pl.String,
        "sent_by": pl.String,
        "label_sent_by": pl.String,
    }
)

_LABEL = ("label", "label_known_at", "label_source", "label_sent_by")
# A table scan and a sort here are faster than an index scan in the database.
ORDER = ("event_time", "ingested_at", "transaction_id")


def read_snapshot(
    engine: Engine, as_of_us: int, rows_per_read: int = ROWS_PER_READ
) -> pl.DataFrame:
    """Every row ingested by `as_of_us`, each once, in the order of time.

    Raises:
        DataUnavailable: the database cannot be read, or holds what the schema does not allow.
    """
    with database_errors("read the transaction logs"):
        history = _read(engine, transaction_history_logs, as_of_us, rows_per_read)
        scored = _read(engine, api_transaction_logs, as_of_us, rows_per_read)
        replaced = read_replaced(engine, as_of_us)
    return as_known_then(union(history, scored), replaced).sort(ORDER)


def _read(engine: Engine, table: Table, as_of_us: int, rows_per_read: int) -> pl.DataFrame:
    return pl.concat([SCHEMA.to_frame(), *read_parts(engine, table, as_of_us, rows_per_read)])


def read_parts(
    engine: Engine, table: Table, as_of_us: int, rows_per_read: int = ROWS_PER_READ
) -> Iterator[pl.DataFrame]:
    """The rows of one log in parts, in the order in which the database has them."""
    # On PostgreSQL a stream is a server-side cursor: the driver never holds the whole table.
    with engine.connect().execution_options(stream_results=True) as connection:
        result = connection.execute(_query(table, as_of_us))
        for rows in result.partitions(rows_per_read):
            yield _frame(rows)


def read_replaced(engine: Engine, as_of_us: int) -> pl.DataFrame:
    """Labels that were replaced later, as they were then."""
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(labels_known_then(as_of_us))]
    names = ("transaction_id", *_LABEL)
    return pl.DataFrame(rows, {name: SCHEMA[name] for name in names}, orient="row")


def as_known_then(snapshot: pl.DataFrame, replaced: pl.DataFrame) -> pl.DataFrame:
    """A correction that came later must not take away what was known at that instant."""
    if replaced.is_empty():
        return snapshot
    affected = snapshot.join(replaced, on="transaction_id", how="semi").select(replaced.columns)
    latest = _latest_labels(pl.concat([affected, replaced]))
    return snapshot.update(latest, on="transaction_id", how="left")


def _query(table: Table, as_of_us: int) -> Select[Any]:
    known = and_(
        table.c.label_known_at <= as_of_us, table.c.label_source.is_distinct_from(OUR_RULES)
    )
    columns: list[Any] = [
        _if_known(known, table.c[name]) if name in _LABEL else table.c[name] for name in SCHEMA
    ]
    return select(*columns).where(table.c.ingested_at <= as_of_us)


def known_rows(rows: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """Rows of a lake as `_query` gives those of the database: as they were known then."""
    missing = [pl.lit(None).alias(name) for name in SCHEMA if name not in rows.columns]
    known = (pl.col("label_known_at") <= as_of_us) & pl.col("label_source").ne_missing(OUR_RULES)
    labels = [pl.when(known).then(pl.col(name)).alias(name) for name in _LABEL]
    typed = rows.with_columns(missing).select(pl.col(name).cast(SCHEMA[name]) for name in SCHEMA)
    return typed.filter(pl.col("ingested_at") <= as_of_us).with_columns(labels)


def replaced_then(changes: pl.DataFrame, as_of_us: int) -> pl.DataFrame:
    """Label changes of a lake as `read_replaced` gives those of the database."""
    names = ("transaction_id", *_LABEL)
    known = pl.col("label_known_at") <= as_of_us
    was = known & (pl.col("replaced_at") > as_of_us)
    rows = changes.filter(was & pl.col("label_source").ne_missing(OUR_RULES))
    return rows.select(pl.col(name).cast(SCHEMA[name]) for name in names)


def first_ingested(rows: pl.DataFrame) -> pl.DataFrame:
    """Each transaction once, as it was ingested first, with its latest label.

    Rows that are on their way from the database to a lake are in both for a moment.
    """
    if not rows["transaction_id"].is_duplicated().any():
        return rows
    first = rows.sort("ingested_at", maintain_order=True).unique(
        "transaction_id", keep="first", maintain_order=True
    )
    return first.update(_latest_labels(rows), on="transaction_id", how="left")


def _if_known(known: Any, column: Column[Any]) -> Any:
    return case((known, column)).label(column.name)


def _frame(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    try:
        return pl.DataFrame(
            [
                pl.Series(name, values, dtype, strict=True)
                for (name, dtype), values in zip(SCHEMA.items(), columns, strict=True)
            ]
        )
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise DataUnavailable(f"a stored row does not fit its column: {error}") from error


def union(history: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """The scored row where both logs have one, known since the first; of labels, the latest."""
    again = history.join(scored, on="transaction_id", how="semi")
    if again.is_empty():
        return pl.concat([history, scored])
    latest = _latest_labels(pl.concat([again, scored.join(again, on="transaction_id", how="semi")]))
    scored = scored.update(latest, on="transaction_id", how="left")
    return pl.concat([history.join(scored, on="transaction_id", how="anti"), scored])


def _latest_labels(rows: pl.DataFrame) -> pl.DataFrame:
    labelled = rows.filter(pl.col("label").is_not_null()).select("transaction_id", *_LABEL)
    # Rows of the history come first, so of two labels known at once the API's wins.
    return labelled.sort("label_known_at", maintain_order=True).unique(
        "transaction_id", keep="last", maintain_order=True
    )
