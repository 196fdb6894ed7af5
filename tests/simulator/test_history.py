"""The synthetic past: always the same, plausible, and known only as far as it can be."""

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from shared.clock import MICROS_PER_DAY
from simulator.events import Crime, SimulatedEvents
from simulator.history import COLUMNS, Drift, SimulatedPast, records, relive
from simulator.world import ATM, MOBILE, POS, World, build_world


def _rows(world: World, past: SimulatedPast) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in chain(*records(world, past, 5_000))]


@pytest.fixture(scope="session")
def rows(world: World, past: SimulatedPast) -> list[dict[str, Any]]:
    return _rows(world, past)


def _of(events: SimulatedEvents, crime: Crime) -> SimulatedEvents:
    return events.take(events.crime == crime)


def test_the_same_seed_and_instant_make_the_same_rows(world: World, past: SimulatedPast) -> None:
    again = build_world(seed=3, customers=150, merchants=400)
    relived = relive(again, past.now_us, days=90)
    assert list(records(again, relived)) == list(records(world, past))


def test_another_seed_makes_another_world(past: SimulatedPast) -> None:
    other = relive(build_world(seed=4, customers=150, merchants=400), past.now_us, days=90)
    assert other.events.amount[:50].tolist() != past.events.amount[:50].tolist()


def test_the_seeded_world_has_the_size_it_should(past: SimulatedPast) -> None:
    per_customer_and_day = len(past.events) / 150 / 90
    assert 1.7 < per_customer_and_day < 2.3


def test_crimes_of_every_kind_are_a_little_less_than_one_in_a_hundred(past: SimulatedPast) -> None:
    kinds = Counter(past.events.crime.tolist())
    assert set(kinds) == set(Crime)
    share = 1 - kinds[Crime.HONEST] / len(past.events)
    assert 0.006 < share < 0.013


def test_nothing_happened_or_arrived_after_now(past: SimulatedPast) -> None:
    assert past.events.time_us.max() < past.now_us
    assert past.ingested_at_us.max() <= past.now_us
    assert (past.ingested_at_us >= past.events.time_us).all()
    assert past.events.time_us.min() >= past.now_us - 90 * MICROS_PER_DAY


def test_some_rows_arrive_hours_late(past: SimulatedPast) -> None:
    late = past.ingested_at_us - past.events.time_us > 60_000_000
    assert 0.01 < late.mean() < 0.03


def test_a_label_is_in_the_database_only_once_it_is_known(
    rows: list[dict[str, Any]], past: SimulatedPast
) -> None:
    known = [row for row in rows if row["label"] is not None]
    unknown = [row for row in rows if row["label"] is None]
    assert 0.85 < len(known) / len(rows) < 0.97
    assert all(row["event_time"] < row["label_known_at"] <= past.now_us for row in known)
    assert all(row["label_known_at"] is None and row["label_source"] is None for row in unknown)


def test_the_last_week_has_no_honest_label_yet(
    rows: list[dict[str, Any]], past: SimulatedPast
) -> None:
    recent = [row for row in rows if row["event_time"] > past.now_us - 7 * MICROS_PER_DAY]
    assert {row["label"] for row in recent} == {None, 1}


def test_most_labels_take_a_week_some_come_sooner_some_later(past: SimulatedPast) -> None:
    stolen = past.events.crime != Crime.HONEST
    days = (past.label_known_at_us - past.events.time_us)[stolen] / MICROS_PER_DAY
    assert np.median(days) == pytest.approx(7.0)
    assert 0.2 < (days < 7).mean() < 0.4
    assert 0.08 < (days > 7).mean() < 0.25


def test_rows_are_as_a_database_wants_them(rows: list[dict[str, Any]]) -> None:
    assert len({row["transaction_id"] for row in rows}) == len(rows)
    assert all(row["amount"] > 0 for row in rows)
    assert all(row["amount"] == round(row["amount"], 2) for row in rows)
    assert all((row["lat"] is None) == (row["lon"] is None) for row in rows)
    assert all(row["transaction_type"] == "withdrawal" for row in rows if row["channel"] == "atm")
    assert {type(row["event_time"]) for row in rows} == {int}


def test_a_mobile_payment_tells_its_device_and_no_place(rows: list[dict[str, Any]]) -> None:
    mobile = [row for row in rows if row["channel"] == "mobile"]
    assert all(row["device_id"] and row["lat"] is None and row["country"] is None for row in mobile)
    present = [row for row in rows if row["channel"] in {"pos", "contactless", "atm"}]
    assert all(row["lat"] is not None and row["device_id"] is None for row in present)


def test_a_takeover_costs_more_than_its_victim_ever_pays(past: SimulatedPast) -> None:
    honest, taken = _of(past.events, Crime.HONEST), _of(past.events, Crime.TAKEOVER)
    assert np.median(taken.amount) > 2 * np.median(honest.amount)


def test_testing_a_card_is_many_small_payments_within_minutes(past: SimulatedPast) -> None:
    testing = _of(past.events, Crime.TESTING)
    assert (testing.amount < 6.01).mean() > 0.7
    victim = np.bincount(testing.customer).argmax()
    times = np.sort(testing.time_us[testing.customer == victim])
    assert np.median(np.diff(times)) < 15 * 60 * 1_000_000


def test_a_compromised_merchant_is_bad_for_weeks(past: SimulatedPast) -> None:
    stolen = _of(past.events, Crime.COMPROMISED_MERCHANT)
    merchant, rows = Counter(stolen.merchant.tolist()).most_common(1)[0]
    assert rows >= 5
    times = stolen.time_us[stolen.merchant == merchant]
    window = (past.events.merchant == merchant) & (past.events.time_us >= times.min())
    window &= past.events.time_us <= times.max()
    assert (past.events.crime[window] != Crime.HONEST).mean() > 0.6


def test_a_cloned_card_is_used_in_another_city(past: SimulatedPast, world: World) -> None:
    cloned = _of(past.events, Crime.CLONED_CARD)
    assert (cloned.city != world.customers.city[cloned.customer]).mean() > 0.8
    assert set(cloned.channel.tolist()) <= {POS, ATM}


def test_a_strange_device_was_never_used_honestly(past: SimulatedPast) -> None:
    honest = set(_of(past.events, Crime.HONEST).device.tolist())
    strange = _of(past.events, Crime.STRANGE_DEVICE)
    assert honest.isdisjoint(strange.device.tolist())
    assert set(strange.channel.tolist()) == {MOBILE}


def test_drift_changes_the_last_days_only(world: World, past: SimulatedPast) -> None:
    drift = Drift(last_days=30, amount_factor=2.0, crime_factor=3.0)
    drifted = relive(world, past.now_us, days=90, drift=drift).events
    since = past.now_us - 30 * MICROS_PER_DAY

    def numbers(events: SimulatedEvents, lately: bool) -> tuple[float, float]:
        part = events.take((events.time_us >= since) == lately)
        return float(np.median(part.amount)), float((part.crime != Crime.HONEST).mean())

    assert numbers(drifted, lately=False) == numbers(past.events, lately=False)
    amount, crimes = numbers(drifted, lately=True)
    usual_amount, usual_crimes = numbers(past.events, lately=True)
    assert amount == pytest.approx(2 * usual_amount, rel=0.1)
    assert crimes > 2 * usual_crimes
