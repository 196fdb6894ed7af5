"""A small simulated world with so much crime that a few thousand rows can be judged by.

A gate wants 100 positives with matured labels among the newest third of the rows.
"""

from sqlalchemy import Engine

from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, SimulatedPast, records, relive
from simulator.world import build_world

SEED, DAYS, CRIME_SHARE = 7, 60, 0.2
CUSTOMERS, MERCHANTS = 40, 150


def write_small_world(engine: Engine, now_us: int, rows: int) -> int:
    """Write the newest `rows` of the world's past; returns how many were written."""
    world = build_world(SEED, customers=CUSTOMERS, merchants=MERCHANTS)
    past = relive(world, now_us, DAYS, crime_share=CRIME_SHARE)
    newest = slice(-rows, None)
    kept = SimulatedPast(
        past.events.take(newest),
        past.ingested_at_us[newest],
        past.label_known_at_us[newest],
        past.now_us,
    )
    written = 0
    with engine.begin() as connection:
        for batch in records(world, kept):
            written += write_history_records(connection, COLUMNS, batch)
    return written
