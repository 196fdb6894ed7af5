"""Honest transactions: habits, favourite shops, trips abroad, a new phone, a big purchase."""

import numpy as np

from shared.clock import MICROS_PER_DAY
from simulator.events import NOWHERE, Crime, EventStage, SimulatedEvents
from simulator.world import (
    ATM,
    CASH,
    CATEGORIES,
    CITIES,
    CONTACTLESS,
    MOBILE,
    MONEY_TRANSFER,
    ONLINE,
    POS,
    PURCHASE,
    TRANSFER,
    WITHDRAWAL,
    Flags,
    Floats,
    Ints,
    World,
    in_city,
    pick,
)

HABIT = 0.8
TRIP_SHARE = 0.5
TRIP_DAYS = (2.0, 12.0)
BIG_PURCHASES = 0.012
DEVICES_PER_CUSTOMER = 64
MOBILE_SHARE = 0.5

LOG_AMOUNTS = np.array([kind.log_amount for kind in CATEGORIES])
SPREADS = np.array([kind.spread for kind in CATEGORIES])


def spend(stage: EventStage) -> SimulatedEvents:
    """The legitimate transactions of all customers, in time order."""
    world, rng = stage.world, stage.rng
    counts = rng.poisson(world.customers.per_day * stage.days)
    customer = np.repeat(np.arange(len(counts)), counts)
    time_us = _when(stage, customer)
    city = _where(stage, customer, time_us)
    online = rng.random(len(customer)) < world.customers.online_share[customer]
    merchant = _merchants(stage, customer, city, online)
    channel = channels(world, rng, merchant, online)
    events = SimulatedEvents(
        customer=customer,
        merchant=merchant,
        time_us=time_us,
        amount=usual_amounts(world, rng, customer, merchant) * _big(rng, len(customer)),
        channel=channel,
        kind=kinds(world, merchant),
        city=np.where(channel == MOBILE, NOWHERE, city),
        device=_devices(stage, customer, time_us, channel),
        crime=np.full(len(customer), Crime.HONEST, np.int64),
    )
    return _rounded(events).take(np.argsort(time_us, kind="stable"))


def usual_amounts(world: World, rng: np.random.Generator, customer: Ints, merchant: Ints) -> Floats:
    """The usual amounts of these customers at these merchants."""
    category = world.merchants.category[merchant]
    noise = rng.standard_normal(len(customer)) * SPREADS[category]
    amounts: Floats = np.exp(LOG_AMOUNTS[category] + world.customers.log_amount[customer] + noise)
    return amounts


def channels(world: World, rng: np.random.Generator, merchant: Ints, online: Flags) -> Ints:
    """The payment's channel, where the place allows several."""
    distant = np.where(rng.random(len(merchant)) < MOBILE_SHARE, MOBILE, ONLINE)
    nearby = np.where(rng.random(len(merchant)) < 0.6, CONTACTLESS, POS)
    nearby[world.merchants.category[merchant] == CASH] = ATM
    return np.where(online, distant, nearby)


def kinds(world: World, merchant: Ints) -> Ints:
    """Purchase, withdrawal or transfer, as the merchant's category says."""
    category = world.merchants.category[merchant]
    kind = np.full(len(merchant), PURCHASE, np.int64)
    kind[category == CASH] = WITHDRAWAL
    kind[category == MONEY_TRANSFER] = TRANSFER
    return kind


def _when(stage: EventStage, customer: Ints) -> Ints:
    """Any day, near the customer's own hour, by the clock of the customer's home."""
    customers = stage.world.customers
    offsets = np.array([city.utc_offset_min for city in CITIES])[customers.city[customer]]
    peak = customers.peak_hour[customer] - offsets / 60
    hour = (peak + stage.rng.normal(0.0, 3.5, len(customer))) % 24
    days = stage.start_us / MICROS_PER_DAY + stage.rng.random(len(customer)) * stage.days
    time_us = ((np.floor(days) + hour / 24) * MICROS_PER_DAY).astype(np.int64)
    # wraps around: moments beyond one end continue at the other
    moments: Ints = stage.start_us + (time_us - stage.start_us) % (stage.end_us - stage.start_us)
    return moments


def _where(stage: EventStage, customer: Ints, time_us: Ints) -> Ints:
    """The place of a payment: home, or another city during a trip (about one in ninety days)."""
    rng, home = stage.rng, stage.world.customers.city
    moment = (time_us - stage.start_us) / MICROS_PER_DAY
    city: Ints = home[customer].copy()
    weights = np.array([place.weight for place in CITIES]) ** 0.5
    for _ in range(max(1, round(stage.days / 90))):
        goes = rng.random(len(home)) < TRIP_SHARE
        begins = rng.uniform(0.0, stage.days, len(home))
        lasts = rng.uniform(*TRIP_DAYS, len(home))
        target = pick(rng, np.arange(len(CITIES)), weights, len(home))
        since = moment - begins[customer]
        on_trip = goes[customer] & (since >= 0) & (since < lasts[customer])
        city[on_trip] = target[customer][on_trip]
    return city


def _merchants(stage: EventStage, customer: Ints, city: Ints, online: Flags) -> Ints:
    """Mostly a favourite; now and then, and always when away, something else."""
    rng, customers, merchants = stage.rng, stage.world.customers, stage.world.merchants
    nearby = _favourite(rng, customers.nearby, customer)
    distant = _favourite(rng, customers.distant, customer)
    adventurous = rng.random(len(customer)) > HABIT
    stray = (adventurous | (city != customers.city[customer])) & ~online
    nearby[stray] = in_city(rng, merchants, city[stray])
    everywhere = np.flatnonzero(merchants.online)
    lost = adventurous & online
    distant[lost] = pick(rng, everywhere, merchants.popularity[everywhere], int(lost.sum()))
    return np.where(online, distant, nearby)


def _favourite(rng: np.random.Generator, favourites: Ints, customer: Ints) -> Ints:
    weights = 1.0 / np.arange(1, favourites.shape[1] + 1)
    at = pick(rng, np.arange(favourites.shape[1]), weights, len(customer))
    chosen: Ints = favourites[customer, at]
    return chosen


def _big(rng: np.random.Generator, size: int) -> Floats:
    big = rng.random(size) < BIG_PURCHASES
    return np.where(big, rng.uniform(3.0, 10.0, size), 1.0)


def _devices(stage: EventStage, customer: Ints, time_us: Ints, channel: Ints) -> Ints:
    """A phone and, for some, a second one; every other customer gets a new one at some time."""
    rng, people = stage.rng, len(stage.world.customers.city)
    replaced = rng.uniform(2 * stage.start_us - stage.end_us, stage.end_us, people)
    number = (time_us > replaced[customer]).astype(np.int64)
    number[rng.random(len(customer)) < 0.06] += 2
    return np.where(channel <= MOBILE, customer * DEVICES_PER_CUSTOMER + number, NOWHERE)


def _rounded(events: SimulatedEvents) -> SimulatedEvents:
    """Cash machines give notes; everything else costs cents."""
    cash = events.kind == WITHDRAWAL
    notes = np.maximum(10.0, np.round(events.amount / 10.0) * 10.0)
    cents = np.maximum(0.5, np.round(events.amount, 2))
    return events.with_columns(amount=np.where(cash, notes, cents))
