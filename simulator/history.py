"""The past of a world as rows for the database: what happened, and what is known of it by now."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND
from shared.transaction import ATTRIBUTE_OF
from simulator.crimes import commit
from simulator.events import NOWHERE, Crime, EventStage, SimulatedEvents, together
from simulator.spending import spend
from simulator.world import (
    CATEGORIES,
    CHANNELS,
    CITIES,
    POS,
    TRANSACTION_TYPES,
    Flags,
    Floats,
    Ints,
    World,
)

MATURITY_US = 7 * MICROS_PER_DAY
CURRENCY = "EUR"

COLUMNS = (*ATTRIBUTE_OF, "label", "label_known_at", "label_source")
SimulatedRow = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """The difference of the last days from the time before; the defaults make none."""

    last_days: float = 30.0
    amount_factor: float = 1.0
    crime_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class SimulatedPast:
    """Events in the order of time, with the two instants that a database adds to each."""

    events: SimulatedEvents
    ingested_at_us: Ints
    label_known_at_us: Ints
    now_us: int


def relive(
    world: World,
    now_us: int,
    days: int = 180,
    crime_share: float = 0.009,
    drift: Drift | None = None,
) -> SimulatedPast:
    """Everything that happened in the days before now, as far as it has been ingested."""
    rng = world.rng(1)
    stage = EventStage(world, rng, now_us - days * MICROS_PER_DAY, now_us)
    events = commit(stage, spend(stage), crime_share)
    if drift is not None:
        events = _drifted(stage, events, drift, crime_share)
    return witnessed(rng, events, now_us)


def witnessed(rng: np.random.Generator, events: SimulatedEvents, now_us: int) -> SimulatedPast:
    """Events with the instants at which they were ingested and their labels became known."""
    ingested_at = events.time_us + _lateness(rng, len(events))
    arrived = ingested_at <= now_us
    known_at = events.time_us + label_delays(rng, events.crime != Crime.HONEST)
    return SimulatedPast(events.take(arrived), ingested_at[arrived], known_at[arrived], now_us)


def records(
    world: World, past: SimulatedPast, batch_rows: int = 50_000
) -> Iterator[list[SimulatedRow]]:
    """Database rows in the order of COLUMNS; the same seed and now give the same rows."""
    total = len(past.events)
    for start in range(0, total, batch_rows):
        rows = slice(start, min(start + batch_rows, total))
        columns = _named(world, past.events.take(rows))
        numbers = range(rows.start, rows.stop)
        columns["transaction_id"] = [f"s{world.seed}-{number:07d}" for number in numbers]
        columns["ingested_at"] = past.ingested_at_us[rows].tolist()
        columns.update(_labels(past, rows))
        yield list(zip(*(columns[name] for name in COLUMNS), strict=True))


def named_rows(world: World, events: SimulatedEvents, prefix: str = "c") -> list[dict[str, Any]]:
    """The same rows without ids, ingestion and labels: what a caller of the API knows."""
    columns = _named(world, events, prefix)
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _drifted(
    stage: EventStage, events: SimulatedEvents, drift: Drift, crime_share: float
) -> SimulatedEvents:
    since = max(stage.start_us, stage.end_us - round(drift.last_days * MICROS_PER_DAY))
    lately = events.time_us >= since
    amount = np.where(lately, (events.amount * drift.amount_factor).round(2), events.amount)
    changed = events.with_columns(amount=amount)
    extra = max(0.0, drift.crime_factor - 1.0) * crime_share
    if extra == 0.0:
        return changed
    recent = commit(stage._replace(start_us=since), changed.take(lately), extra)
    return together([changed.take(~lately), recent])


def _lateness(rng: np.random.Generator, size: int) -> Ints:
    """Most rows arrive within a second; two in a hundred take up to six hours."""
    quick = rng.exponential(0.3 * MICROS_PER_SECOND, size)
    slow = rng.uniform(60.0, 6 * 3_600.0, size) * MICROS_PER_SECOND
    return np.where(rng.random(size) < 0.02, slow, quick).astype(np.int64)


def label_delays(rng: np.random.Generator, stolen: Flags) -> Ints:
    """Delays of labels: honest after a week without complaint, fraud sooner, some much later."""
    size = len(stolen)
    soon: Floats = rng.uniform(0.3, 6.0, size)
    late: Floats = rng.uniform(8.0, 30.0, size)
    kind = rng.random(size)
    days = np.where(kind < 0.3, soon, np.where(kind < 0.85, 7.0, late))
    return np.where(stolen, days * MICROS_PER_DAY, MATURITY_US).astype(np.int64)


def _labels(past: SimulatedPast, rows: slice) -> dict[str, list[Any]]:
    known_at = past.label_known_at_us[rows].tolist()
    stolen = (past.events.crime[rows] != Crime.HONEST).tolist()
    times = past.events.time_us[rows].tolist()
    known = [at <= past.now_us for at in known_at]
    sources = [
        _source(bad, at - time) for bad, at, time in zip(stolen, known_at, times, strict=True)
    ]
    return {
        "label": [int(bad) if yes else None for bad, yes in zip(stolen, known, strict=True)],
        "label_known_at": [at if yes else None for at, yes in zip(known_at, known, strict=True)],
        "label_source": [
            source if yes else None for source, yes in zip(sources, known, strict=True)
        ],
    }


def _source(stolen: bool, delay_us: int) -> str:
    if not stolen:
        return "maturity"
    return "chargeback" if delay_us <= MATURITY_US else "investigation"


def _named(world: World, events: SimulatedEvents, prefix: str = "c") -> dict[str, list[Any]]:
    customers, merchants = world.customers, world.merchants
    present = (events.channel >= POS).tolist()
    city = events.city.tolist()
    where = np.where(events.city == NOWHERE, customers.city[events.customer], events.city)
    shop_lat = merchants.lat[events.merchant].tolist()
    shop_lon = merchants.lon[events.merchant].tolist()
    return {
        "user_id": [f"{prefix}{number:05d}" for number in events.customer.tolist()],
        "event_time": events.time_us.tolist(),
        "amount": events.amount.tolist(),
        "currency": [CURRENCY] * len(events),
        "merchant_id": [f"m{number:05d}" for number in events.merchant.tolist()],
        "transaction_type": [TRANSACTION_TYPES[kind] for kind in events.kind.tolist()],
        "merchant_category": [
            CATEGORIES[kind].name for kind in merchants.category[events.merchant].tolist()
        ],
        "channel": [CHANNELS[channel] for channel in events.channel.tolist()],
        "country": [None if at == NOWHERE else CITIES[at].country for at in city],
        "lat": [lat if here else None for lat, here in zip(shop_lat, present, strict=True)],
        "lon": [lon if here else None for lon, here in zip(shop_lon, present, strict=True)],
        "home_lat": customers.home_lat[events.customer].tolist(),
        "home_lon": customers.home_lon[events.customer].tolist(),
        "device_id": [None if at == NOWHERE else f"d{at:07d}" for at in events.device.tolist()],
        "utc_offset_min": [CITIES[at].utc_offset_min for at in where.tolist()],
    }
