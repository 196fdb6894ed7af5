"""Six kinds of fraud, each visible in another group of features, none of them obvious.

A compromised merchant shows in the merchant's own rate; a takeover, testing and an unusual device
in the customer's rhythm and places; a big ticket in the amount; a cloned card in an impossible
travel distance.
"""

from typing import NamedTuple

import numpy as np

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from simulator.events import NOWHERE, Crime, EventStage, SimulatedEvents, together
from simulator.spending import DEVICES_PER_CUSTOMER, kinds, usual_amounts
from simulator.world import (
    ATM,
    CASH,
    CITIES,
    DIGITAL_GOODS,
    ELECTRONICS,
    MOBILE,
    MONEY_TRANSFER,
    ONLINE,
    POS,
    Floats,
    Ints,
    in_city,
    pick,
)

# Shares of all crimes; the first is a share of rows that were honest otherwise.
MIX = {
    Crime.COMPROMISED_MERCHANT: 0.26,
    Crime.TAKEOVER: 0.27,
    Crime.TESTING: 0.19,
    Crime.BIG_TICKET: 0.08,
    Crime.CLONED_CARD: 0.10,
    Crime.STRANGE_DEVICE: 0.10,
}
COMPROMISED_DAYS = (21.0, 45.0)
COMPROMISED_SHARE = 0.85
STOLEN_DEVICE = 40
MINUTE_US = 60 * 1_000_000


def commit(stage: EventStage, honest: SimulatedEvents, share: float) -> SimulatedEvents:
    """Honest rows and crimes together, so that about `share` of the rows are crimes."""
    budget = {crime: round(len(honest) * share * part) for crime, part in MIX.items()}
    everything = together(
        [
            compromise(stage, honest, budget[Crime.COMPROMISED_MERCHANT]),
            take_over(stage, budget[Crime.TAKEOVER]),
            test_cards(stage, budget[Crime.TESTING]),
            buy_big(stage, budget[Crime.BIG_TICKET]),
            clone(stage, honest, budget[Crime.CLONED_CARD]),
            use_strange_device(stage, budget[Crime.STRANGE_DEVICE]),
        ]
    )
    inside = (everything.time_us >= stage.start_us) & (everything.time_us < stage.end_us)
    return everything.take(inside)


def compromise(stage: EventStage, honest: SimulatedEvents, rows: int) -> SimulatedEvents:
    """Makes most payments at some merchants fraudulent for weeks, and changes nothing else."""
    rng = stage.rng
    crime = honest.crime.copy()
    order = np.argsort(honest.merchant, kind="stable")
    shops = np.arange(len(stage.world.merchants.city) + 1)
    edges = np.searchsorted(honest.merchant[order], shops)
    done = 0
    for merchant in rng.permutation(_worth_it(np.diff(edges))):
        if done >= rows:
            break
        at = order[edges[merchant] : edges[merchant + 1]]
        lasts = rng.uniform(*COMPROMISED_DAYS) * MICROS_PER_DAY
        begins = rng.uniform(stage.start_us, stage.end_us) - lasts / 2
        inside = (honest.time_us[at] >= begins) & (honest.time_us[at] < begins + lasts)
        stolen = at[inside & (rng.random(len(at)) < COMPROMISED_SHARE)]
        crime[stolen] = Crime.COMPROMISED_MERCHANT
        done += len(stolen)
    return honest.with_columns(crime=crime)


def take_over(stage: EventStage, rows: int) -> SimulatedEvents:
    """A thief shops with a stolen card for a day or two, for more than its owner would."""
    rng = stage.rng
    victims, sizes = _bursts(stage, rows, 4, 12)
    customer = np.repeat(victims, sizes)
    begin = np.repeat(stage.moments(len(victims)), sizes)
    time_us = begin + rng.exponential(6 * MICROS_PER_HOUR, len(customer)).astype(np.int64)
    merchant = _anywhere(stage, len(customer))
    greed = rng.uniform(1.5, 5.0, len(customer))
    amount = usual_amounts(stage.world, rng, customer, merchant) * greed
    crimes = Crimes(Crime.TAKEOVER, customer, merchant, time_us, amount)
    return _distant(stage, crimes, strange=0.6)


def test_cards(stage: EventStage, rows: int) -> SimulatedEvents:
    """Small payments in a row find out whether a card still works; then a large one follows."""
    rng = stage.rng
    victims, sizes = _bursts(stage, rows, 4, 9)
    customer = np.repeat(victims, sizes)
    begin = np.repeat(stage.moments(len(victims)), sizes)
    last = np.cumsum(sizes) - 1
    since = np.cumsum(rng.exponential(4 * MINUTE_US, len(customer)).astype(np.int64))
    first = np.repeat(since[last - sizes + 1], sizes)
    merchant = _of_category(stage, DIGITAL_GOODS, len(customer))
    amount = rng.uniform(0.8, 6.0, len(customer))
    merchant[last] = _of_category(stage, ELECTRONICS, len(last))
    amount[last] = usual_amounts(stage.world, rng, customer[last], merchant[last]) * 1.5
    crimes = Crimes(Crime.TESTING, customer, merchant, begin + since - first, amount)
    return _distant(stage, crimes, strange=0.3)


def buy_big(stage: EventStage, rows: int) -> SimulatedEvents:
    """One payment far above anything the customer ever made."""
    rng = stage.rng
    customer = rng.integers(0, len(stage.world.customers.city), rows)
    merchant = _anywhere(stage, rows)
    amount = usual_amounts(stage.world, rng, customer, merchant) * rng.uniform(6.0, 20.0, rows)
    crimes = Crimes(Crime.BIG_TICKET, customer, merchant, stage.moments(rows), amount)
    return _distant(stage, crimes, strange=0.1)


def clone(stage: EventStage, honest: SimulatedEvents, rows: int) -> SimulatedEvents:
    """A copy of the card pays in another city soon after its owner paid at home."""
    world, rng = stage.world, stage.rng
    present = np.flatnonzero(honest.channel >= POS)
    if rows == 0 or len(present) == 0:
        return honest.take(slice(0, 0))
    victims = honest.take(rng.choice(present, (rows + 1) // 2)).take(np.arange(rows) // 2)
    elsewhere = (victims.city + rng.integers(1, len(CITIES), rows)) % len(CITIES)
    merchant = in_city(rng, world.merchants, elsewhere)
    delay = rng.uniform(0.3, 8.0, rows) * MICROS_PER_HOUR
    cash = world.merchants.category[merchant] == CASH
    return SimulatedEvents(
        customer=victims.customer,
        merchant=merchant,
        time_us=victims.time_us + delay.astype(np.int64),
        amount=usual_amounts(world, rng, victims.customer, merchant).round(2) + 0.5,
        channel=np.where(cash, ATM, POS),
        kind=kinds(world, merchant),
        city=elsewhere,
        device=np.full(rows, NOWHERE, np.int64),
        crime=np.full(rows, Crime.CLONED_CARD, np.int64),
    )


def use_strange_device(stage: EventStage, rows: int) -> SimulatedEvents:
    """Money is sent away at night from a phone the customer never used."""
    rng = stage.rng
    victims, sizes = _bursts(stage, rows, 1, 3)
    midnight = stage.moments(len(victims)) // MICROS_PER_DAY * MICROS_PER_DAY
    begins = midnight + rng.integers(0, 5 * MICROS_PER_HOUR, len(victims))
    customer, begin = np.repeat(victims, sizes), np.repeat(begins, sizes)
    time_us = begin + rng.integers(0, 40 * MINUTE_US, len(customer))
    merchant = _of_category(stage, MONEY_TRANSFER, len(customer))
    greed = rng.uniform(0.8, 2.5, len(customer))
    amount = usual_amounts(stage.world, rng, customer, merchant) * greed
    crimes = Crimes(Crime.STRANGE_DEVICE, customer, merchant, time_us, amount)
    return _distant(stage, crimes, strange=1.0, mobile_share=1.0)


class Crimes(NamedTuple):
    """The choices of a thief; the rest follows from the distance."""

    crime: Crime
    customer: Ints
    merchant: Ints
    time_us: Ints
    amount: Floats


def _worth_it(payments: Ints) -> Ints:
    """Quiet merchants do not pay, and a busy one would be found out the same day."""
    fewest, most = np.quantile(payments, [0.9, 0.97])
    found: Ints = np.flatnonzero((payments >= min(40, fewest)) & (payments <= most))
    return found


def _bursts(stage: EventStage, rows: int, fewest: int, most: int) -> tuple[Ints, Ints]:
    """Victims, and how many rows each gets, for about that many rows together."""
    count = round(rows / ((fewest + most) / 2))
    sizes = stage.rng.integers(fewest, most + 1, count)
    return stage.rng.integers(0, len(stage.world.customers.city), count), sizes


def _anywhere(stage: EventStage, size: int) -> Ints:
    merchants = stage.world.merchants
    online = np.flatnonzero(merchants.online)
    return pick(stage.rng, online, merchants.popularity[online], size)


def _of_category(stage: EventStage, category: int, size: int) -> Ints:
    merchants = stage.world.merchants
    found = np.flatnonzero((merchants.category == category) & merchants.online)
    if len(found) == 0:
        return _anywhere(stage, size)
    return pick(stage.rng, found, merchants.popularity[found], size)


def _distant(
    stage: EventStage, crimes: Crimes, *, strange: float, mobile_share: float = 0.4
) -> SimulatedEvents:
    """Online rows; a share of them from the thief's own device and country."""
    rng, size = stage.rng, len(crimes.customer)
    foreign = rng.random(size) < strange
    home = stage.world.customers.city[crimes.customer]
    city = np.where(foreign, rng.integers(0, len(CITIES), size), home)
    number = np.where(foreign, STOLEN_DEVICE + rng.integers(0, 20, size), 0)
    mobile = rng.random(size) < mobile_share
    return SimulatedEvents(
        customer=crimes.customer,
        merchant=crimes.merchant,
        time_us=crimes.time_us,
        amount=np.maximum(0.5, crimes.amount).round(2),
        channel=np.where(mobile, MOBILE, ONLINE),
        kind=kinds(stage.world, crimes.merchant),
        city=np.where(mobile, NOWHERE, city),
        device=crimes.customer * DEVICES_PER_CUSTOMER + number,
        crime=np.full(size, crimes.crime, np.int64),
    )
