"""Histories of any size for benchmarks/out_of_core.py: worlds that have nothing in common."""

from collections.abc import Iterator

import polars as pl
from sqlalchemy import Engine, text

from benchmarks.cycle import say
from shared.clock import MICROS_PER_SECOND
from shared.importing.lake import Lake
from shared.tables.engine import prepare_for_bulk
from shared.tables.schema import transaction_history_logs
from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, SimulatedRow, records, relive
from simulator.world import build_world
from usecases.fraud.training.snapshot import read_snapshot

SEED, DAYS = 11, 180
ROWS_A_DAY = 2.0
"""Mean of one customer."""

ROWS_A_WORLD = 1_500_000
SIMULATED_WORLDS = 2
"""All others are these again, with other names, amounts and times: ten times as fast."""

OWN = ("user_id", "merchant_id", "device_id")
INSTANTS = ("event_time", "ingested_at", "label_known_at")
EARLIER_SECONDS = 420
LARGER = 0.003


def write_lake(
    engine: Engine, lake: Lake, now_us: int, wanted: int, rows_a_world: int = ROWS_A_WORLD
) -> int:
    """Rows of `write_worlds`, the simulated worlds in the database and their copies in a lake."""
    worlds = max(SIMULATED_WORLDS, -(-wanted // rows_a_world))
    written = write_worlds(engine, now_us, wanted * SIMULATED_WORLDS // worlds, rows_a_world)
    rows = read_snapshot(engine, now_us)
    simulated = [
        rows.filter(pl.col("transaction_id").str.starts_with(_row_id(number)))
        for number in range(SIMULATED_WORLDS)
    ]
    for number in range(SIMULATED_WORLDS, worlds):
        copied = _copied(simulated[number % SIMULATED_WORLDS], number)
        lake.append(transaction_history_logs, copied)
        written += copied.height
        say(f"{written} of about {wanted} rows written")
    return written


def _copied(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """The copy that `_copy` makes in the database."""
    source = _row_id(number % SIMULATED_WORLDS)
    ours = {
        name: pl.lit(_own_name(number)) + pl.col(name).str.slice(len(_own_name(0))) for name in OWN
    }
    ours["transaction_id"] = pl.lit(_row_id(number)) + pl.col("transaction_id").str.slice(
        len(source)
    )
    earlier_us = number * EARLIER_SECONDS * MICROS_PER_SECOND
    return rows.with_columns(
        **ours,
        **{name: pl.col(name) - earlier_us for name in INSTANTS},
        amount=(pl.col("amount") * (1 + number * LARGER)).round(2),
    )


def write_worlds(engine: Engine, now_us: int, wanted: int, rows_a_world: int = ROWS_A_WORLD) -> int:
    """About this many rows, in whole worlds of one size; returns how many there are.

    Counters that only the API reads are not kept for copied worlds.
    """
    worlds = -(-wanted // rows_a_world)
    customers = round(wanted / worlds / (DAYS * ROWS_A_DAY))
    written = 0
    for number in range(worlds):
        if number < SIMULATED_WORLDS:
            for batch in _rows(number, customers, now_us):
                with engine.begin() as connection:
                    prepare_for_bulk(connection)
                    written += write_history_records(connection, COLUMNS, batch)
        else:
            written += _copy(engine, number % SIMULATED_WORLDS, number)
        say(f"{written} of about {wanted} rows written")
    return written


def _rows(number: int, customers: int, now_us: int) -> Iterator[list[SimulatedRow]]:
    """The rows of one world; its users, merchants and devices are no other world's."""
    world = build_world(SEED + number, customers=customers)
    own = {COLUMNS.index(name) for name in OWN}
    for batch in records(world, relive(world, now_us, DAYS)):
        yield [
            tuple(
                _own_name(number) + value if at in own and value is not None else value
                for at, value in enumerate(row)
            )
            for row in batch
        ]


def _own_name(number: int) -> str:
    # in front: the rows of a world are neighbours in every index
    return f"{number:03d}-"


def _row_id(number: int) -> str:
    return f"s{SEED + number}-"


def _copy(engine: Engine, source: int, number: int) -> int:
    """A world again: other names, a little earlier, and a little larger amounts."""
    row_id, of = _row_id(number), _row_id(source)
    taken = {name: name for name in COLUMNS}
    taken |= {name: f"'{_own_name(number)}' || substr({name}, 5)" for name in OWN}
    taken |= {name: f"{name} - {number * EARLIER_SECONDS * MICROS_PER_SECOND}" for name in INSTANTS}
    taken["transaction_id"] = f"'{row_id}' || substr(transaction_id, {len(of) + 1})"
    taken["amount"] = f"round(amount * {1 + number * LARGER}, 2)"
    table = transaction_history_logs.name
    statement = (
        f"INSERT INTO {table} ({', '.join(taken)}) "
        f"SELECT {', '.join(taken.values())} FROM {table} "
        f"WHERE transaction_id >= '{of}' AND transaction_id < '{of[:-1]}.'"
    )
    with engine.begin() as connection:
        prepare_for_bulk(connection)
        return connection.execute(text(statement)).rowcount
