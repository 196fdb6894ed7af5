"""A seeded stream of transactions with everything that goes wrong on the way to a scorer."""

import random
from collections.abc import Iterator
from dataclasses import replace

from shared.transaction import Label, Transaction
from tests.usecases.fraud.features.frames import DAY, HOUR, MINUTE, SECOND, START, transaction

USERS, MERCHANTS, CREW = 200, 25, 5
RUSH = 90 * SECOND
"""Rows come in rushes of this length, so that many are scored before any is stored."""

_CATEGORIES = (None, "food", "travel", "games")
_COUNTRIES = (None, "DE", "FR", "PL")
_CITIES = ((52.52, 13.405), (48.8566, 2.3522), (50.0647, 19.945), (None, None))


def rushes(seed: int, count: int, rows_each: int, days: int) -> Iterator[list[Transaction]]:
    """Groups of transactions in the order in which they come in.

    Few users make up a rush. A tenth of the rows is minutes to weeks late; some share the
    instant of their event, or of their arrival, with another row of the user; some come twice.
    """
    dice = random.Random(seed)
    slots = sorted(dice.sample(range(days * DAY // (2 * RUSH)), count))
    begins = [START + slot * 2 * RUSH for slot in slots]
    latest: dict[str, int] = {}
    number = 0
    for begin in begins:
        rows = []
        crew = [f"user{int(USERS * dice.random() ** 1.5)}" for _ in range(CREW)]
        for _ in range(rows_each):
            number += 1
            arrival = begin + dice.randrange(RUSH // SECOND) * SECOND
            rows.append(_row(dice, number, arrival, dice.choice(crew), latest))
        again = [
            replace(row, ingested_at_us=row.ingested_at_us + SECOND)
            for row in rows
            if dice.random() < 0.01
        ]
        yield sorted([*rows, *again], key=_arrival)


def labels_of(seed: int, row: Transaction) -> Iterator[Label]:
    """What becomes known of a transaction: nothing for one in ten."""
    dice = random.Random(f"{seed}{row.transaction_id}")
    if dice.random() < 0.9:
        delay = dice.choice((2 * DAY, 5 * DAY, 7 * DAY, 9 * DAY)) + dice.randrange(DAY)
        yield Label(
            row.transaction_id, int(dice.random() < 0.1), row.ingested_at_us + delay, "chargeback"
        )


def _row(
    dice: random.Random, number: int, arrival: int, user_id: str, latest: dict[str, int]
) -> Transaction:
    event_time = arrival - _lateness(dice)
    if dice.random() < 0.05:
        event_time = min(arrival, latest.get(user_id, arrival))
    latest[user_id] = event_time
    lat, lon = dice.choice(_CITIES)
    home_lat, home_lon = _CITIES[hash_of(user_id) % len(_CITIES)]
    return transaction(
        dice.randrange(10**6) * 100_000 + number,  # ids say nothing about time
        event_time,
        ingested_at_us=arrival,
        user_id=user_id,
        merchant_id=f"shop{int(MERCHANTS * dice.random() ** 2)}",
        amount=round(dice.lognormvariate(3.5, 1.2), 2),
        merchant_category=dice.choice(_CATEGORIES),
        country=dice.choice(_COUNTRIES),
        transaction_type=dice.choice(("purchase", "withdrawal")),
        channel=dice.choice((None, "online", "pos")),
        device_id=dice.choice((None, "phone", "laptop")),
        utc_offset_min=dice.choice((None, 60, 120, -300)),
        lat=None if lat is None else lat + dice.gauss(0, 0.1),
        lon=lon,
        home_lat=home_lat,
        home_lon=home_lon,
    )


def hash_of(text: str) -> int:
    """The same in every process, unlike hash()."""
    return sum(text.encode())


def _lateness(dice: random.Random) -> int:
    kind = dice.random()
    if kind < 0.85:
        return dice.randrange(2 * SECOND)
    if kind < 0.93:
        return dice.randrange(10 * MINUTE)
    if kind < 0.98:
        return dice.randrange(8 * HOUR)
    return dice.randrange(40 * DAY)


def _arrival(row: Transaction) -> tuple[int, int, str]:
    return row.ingested_at_us, row.event_time_us, row.transaction_id
