"""`understudy seed`: fill an empty database with a simulated past."""

import time

import structlog
from sqlalchemy import Engine

from shared.clock import SystemClock
from simulator.seeding import is_empty, seed
from simulator.world import build_world
from understudy.terminal import shown


def seed_if_empty(engine: Engine, *, customers: int, days: int, seed_number: int) -> int:
    """Write the past of a world up to now; 0 rows when there is data already.

    Raises:
        DataUnavailable: the database cannot be read or written.
    """
    log = structlog.get_logger()
    if not is_empty(engine):
        log.info("seeding_skipped", reason="the database has transactions")
        return 0
    log.info("seeding", customers=customers, days=days, seed=seed_number)
    started = time.monotonic()
    world = build_world(seed=seed_number, customers=customers)
    with shown("simulating") as advance:
        rows = seed(engine, world, SystemClock().now_us(), advance, days=days)
    log.info("seeded", rows=rows, duration_seconds=round(time.monotonic() - started, 1))
    return rows
