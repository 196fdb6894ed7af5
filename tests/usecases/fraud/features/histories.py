"""Histories with everything that rows can have: nulls, any alphabet, late rows, old rows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from shared.tables.writer import write_decisions, write_history
from shared.transaction import Transaction
from tests.usecases.fraud.features.frames import DAY, HOUR, MINUTE, START, record, transaction

NAMES = ("Ann", "Zoë", "Łukasz", "店長", "🦉 owl", "x" * 128)


@dataclass(frozen=True)
class StoredHistory:
    imported: list[Transaction]
    scored: list[Transaction]

    def write(self, engine: Engine) -> None:
        scored = [{**record(row), "model_version": "1.0.0"} for row in self.scored]
        with engine.begin() as connection:
            write_history(connection, [record(row) for row in self.imported])
            write_decisions(connection, scored)

    def questions(self, dice: random.Random, count: int) -> Iterator[Transaction]:
        """Rows like those that are stored, of the same users and of one that is not known."""
        rows = [*self.imported, *self.scored]
        for number, row in enumerate(dice.choices(rows, k=count)):
            user_id = dice.choice((*NAMES, "nobody"))
            yield replace(row, transaction_id=f"new{number}", user_id=user_id)


def any_history(dice: random.Random, count: int = 1_200) -> StoredHistory:
    now_us = START + 60 * DAY
    logs: tuple[list[Transaction], list[Transaction]] = ([], [])
    for number in range(count):
        event_us = now_us - dice.randrange(90 * DAY) // MINUTE * MINUTE
        lat, lon = dice.choice(((None, None), (0.0, 0.0), (52.5, 13.4), (52.5, None)))
        row = transaction(
            number,
            event_us,
            ingested_at_us=event_us + dice.choice((0, 0, HOUR, 40 * DAY)),
            user_id=dice.choice(NAMES),
            merchant_id=dice.choice(NAMES),
            merchant_category=dice.choice((None, *NAMES[:-1])),
            country=dice.choice((None, *NAMES[:-1])),
            device_id=dice.choice((None, *NAMES)),
            utc_offset_min=dice.choice((None, 0, -300)),
            amount=dice.choice((0.0, 7.0, 12.5)),
            lat=lat,
            lon=lon,
        )
        logs[number % 2].append(row)
    return StoredHistory(*logs)
