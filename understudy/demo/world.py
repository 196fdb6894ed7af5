"""The world of the demo: its past in the database, its last weeks as rows for the API."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.tables.data_changes import begin_change
from shared.tables.engine import prepare_for_bulk
from shared.tables.writer import write_history_records
from simulator.events import Crime, SimulatedEvents
from simulator.history import COLUMNS
from simulator.live import LiveRow, live_rows
from simulator.world import Flags, build_world

SEED = 11
CUSTOMERS = 300
CRIME_SHARE = 0.04
PAST_DAYS = 60
LIVE_DAYS = 50
DRIFT_DAYS_AGO = 40
OLD_FRAUD = (Crime.HONEST, Crime.COMPROMISED_MERCHANT, Crime.BIG_TICKET, Crime.CLONED_CARD)
NEW_FRAUD = (Crime.HONEST, Crime.TAKEOVER, Crime.TESTING, Crime.STRANGE_DEVICE)
"""Kinds of fraud before DRIFT_DAYS_AGO and from then on: the first model never saw the new ones."""
AMOUNT_FACTOR = 1.6
"""The factor on all amounts from DRIFT_DAYS_AGO on."""


@dataclass(slots=True)
class DemoWorld:
    """Customers whose last weeks are still to come; the clock goes from row to row.

    Attributes:
        present_us: the machine's now, at which the simulated clock ends.
        clock_us: how far the customers' rows have come.
    """

    present_us: int
    clock_us: int = field(init=False)
    rows: list[LiveRow] = field(init=False)
    _next: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        world = build_world(SEED, customers=CUSTOMERS)
        drifts_us = self.at(DRIFT_DAYS_AGO)

        def keep(events: SimulatedEvents) -> Flags:
            kinds = (np.isin(events.crime, kind) for kind in (OLD_FRAUD, NEW_FRAUD))
            old, new = kinds
            chosen: Flags = np.where(events.time_us < drifts_us, old, new)
            return chosen

        self.rows = live_rows(
            world,
            self.at(LIVE_DAYS + PAST_DAYS),
            self.present_us,
            crime_share=CRIME_SHARE,
            amount_factor=lambda at_us: 1.0 if at_us < drifts_us else AMOUNT_FACTOR,
            keep=keep,
            dice=SEED,
        )
        self.clock_us = self.at(LIVE_DAYS)
        self._next = sum(row.time_us < self.clock_us for row in self.rows)

    def at(self, days_ago: float) -> int:
        """The instant this many days before the present."""
        return self.present_us - round(days_ago * MICROS_PER_DAY)

    def seed(self, engine: Engine) -> int:
        """Write the past into the database; returns the number of rows."""
        past = self.rows[: self._next]
        with engine.begin() as connection:
            prepare_for_bulk(connection)
            begin_change(connection, "seed", self.clock_us, None, {"rows": len(past)})
            return write_history_records(connection, COLUMNS, [_record(row) for row in past])

    def days(self, until_days_ago: float) -> Iterator[Sequence[LiveRow]]:
        """The rows of each day up to there, day by day; the clock stands at each day's end."""
        end_us = self.at(until_days_ago)
        while self.clock_us < end_us:
            self.clock_us = min(self.clock_us + MICROS_PER_DAY, end_us)
            first = self._next
            while self._next < len(self.rows) and self.rows[self._next].time_us < self.clock_us:
                self._next += 1
            yield self.rows[first : self._next]


def _record(row: LiveRow) -> tuple[object, ...]:
    """A row of the past, ingested when it happened, with a label known at its own instant."""
    label = row.label
    values = {
        **row.body,
        "event_time": row.time_us,
        "ingested_at": row.time_us,
        "label": label["label"],
        "label_known_at": row.label_known_at_us,
        "label_source": label["source"],
    }
    return tuple(values.get(name) for name in COLUMNS)
