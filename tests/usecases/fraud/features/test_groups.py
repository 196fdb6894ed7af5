"""Each group of features on histories small enough to work out by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from shared.transaction import Label, Transaction
from tests.usecases.fraud.features.frames import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    frame,
    transaction,
)
from usecases.fraud.features.batch import compute
from usecases.fraud.features.catalogue import FEATURE_SET, GROUPS


def last(rows: Sequence[Transaction], labels: Sequence[Label] = ()) -> dict[str, float]:
    """The features of the last row."""
    return dict(zip(FEATURE_SET.names, compute(frame(rows, labels))[-1].tolist(), strict=True))


def test_the_catalogue_has_43_numbers_in_seven_groups_and_the_codes_of_four_words() -> None:
    assert {group: len(names) for group, names in GROUPS.items()} == {
        "amount": 6,
        "time": 6,
        "velocity": 11,
        "behaviour": 6,
        "counterparty": 6,
        "geo": 4,
        "merchant_risk": 4,
        "categories": 4,
    }
    assert len(set(FEATURE_SET.names)) == 47


def test_an_empty_table_has_no_features() -> None:
    assert compute(frame([])).shape == (0, 47)


def test_a_first_transaction_takes_the_declared_defaults() -> None:
    found = last([transaction(1, START, amount=25.0)])
    expected = {
        "amount": 25.0,
        "is_round_amount": 0.0,
        "amount_to_avg_30d": 1.0,
        "amount_zscore_30d": 0.0,
        "amount_to_max_30d": 1.0,
        "cnt_30d": 0.0,
        "avg_30d": 0.0,
        "secs_since_prev": 2_592_000.0,
        "days_since_first_seen": 0.0,
        "cnt_24h_vs_30d_daily": 0.0,
        "hour_bucket_share_30d": 0.0,
        "amount_to_prev": 1.0,
        "is_new_merchant_30d": 1.0,
        "is_new_category_30d": 0.0,
        "km_from_home": 0.0,
        "kmh_from_prev": 0.0,
        "is_new_location_30d": 0.0,
        "merchant_cnt_24h": 0.0,
        "merchant_fraud_rate_30d_lag": pytest.approx(0.005),
    }
    assert {name: found[name] for name in expected} == expected


def test_amounts_are_compared_with_those_of_the_last_30_days() -> None:
    rows = [
        transaction(1, START - 31 * DAY, amount=9_999.0),
        transaction(2, START - 2 * DAY, amount=10.0),
        transaction(3, START - DAY, amount=30.0),
        transaction(4, START, amount=40.0),
    ]
    found = last(rows)
    assert found["amount_log1p"] == pytest.approx(math.log(41))
    assert found["is_round_amount"] == 1.0
    assert found["amount_to_avg_30d"] == 2.0
    assert found["amount_zscore_30d"] == pytest.approx((40 - 20) / math.sqrt(200))
    assert found["amount_to_max_30d"] == pytest.approx(40 / 30)
    assert found["amount_to_prev"] == pytest.approx(40 / 30)


def test_the_hour_and_the_weekday_are_local_where_the_offset_is_known() -> None:
    here = last([transaction(1, START)])  # Friday, 12:00
    assert here["hour_cos"] == pytest.approx(-1.0)
    assert here["dow_sin"] == pytest.approx(math.sin(2 * math.pi * 4 / 7))
    assert (here["is_weekend"], here["is_night"]) == (0.0, 0.0)
    there = last([transaction(1, START, utc_offset_min=13 * 60)])  # Saturday, 01:00
    assert there["hour_sin"] == pytest.approx(math.sin(2 * math.pi / 24))
    assert (there["is_weekend"], there["is_night"]) == (1.0, 1.0)


def test_windows_hold_their_first_instant_and_not_the_row_itself() -> None:
    rows = [
        transaction(1, START - 30 * DAY - 1, amount=1.0),
        transaction(2, START - 30 * DAY, amount=2.0),
        transaction(3, START - 7 * DAY, amount=4.0),
        transaction(4, START - DAY, amount=8.0),
        transaction(5, START - HOUR, amount=16.0),
        transaction(6, START - 10 * MINUTE, amount=32.0),
        transaction(7, START, amount=64.0),
        transaction(8, START, amount=128.0),
    ]
    found = last(rows)
    assert [found[f"cnt_{w}"] for w in ("10m", "1h", "24h", "7d", "30d")] == [1, 2, 3, 4, 5]
    assert [found[f"sum_{w}"] for w in ("1h", "24h", "7d", "30d")] == [48, 56, 60, 62]
    assert (found["avg_7d"], found["avg_30d"]) == pytest.approx((15.0, 62 / 5))
    assert found["cnt_24h_vs_30d_daily"] == pytest.approx(3 / (5 / 30))
    assert found["sum_24h_vs_30d_daily"] == pytest.approx(56 / (62 / 30))


def test_the_previous_and_the_first_row_count_at_any_age() -> None:
    rows = [
        transaction(1, START - 400 * DAY),
        transaction(2, START - 100 * DAY, amount=80.0),
        transaction(3, START),
    ]
    found = last(rows)
    assert found["secs_since_prev"] == 100 * 86_400
    assert found["days_since_first_seen"] == 400.0
    assert found["amount_to_prev"] == 0.25


def test_the_three_hours_of_the_day_are_shared_by_local_time() -> None:
    rows = [
        transaction(1, START - DAY),
        transaction(2, START - DAY + 4 * HOUR, utc_offset_min=-4 * 60),
        transaction(3, START - DAY + 6 * HOUR),
        transaction(4, START + 2 * HOUR),
    ]
    assert last(rows)["hour_bucket_share_30d"] == pytest.approx(2 / 3)


def test_merchants_and_categories_are_counted_by_what_they_are() -> None:
    rows = [
        transaction(1, START - 5 * DAY, merchant_id="bar", merchant_category="food"),
        transaction(2, START - 4 * DAY, merchant_id="shop", merchant_category=None),
        transaction(3, START - HOUR, merchant_id="bar", merchant_category="food"),
        transaction(4, START - MINUTE, merchant_id="kiosk", merchant_category="press"),
        transaction(5, START, merchant_id="bar", merchant_category="food"),
    ]
    found = last(rows)
    assert (found["is_new_merchant_30d"], found["same_merchant_cnt_30d"]) == (0.0, 2.0)
    assert (found["distinct_merchants_24h"], found["distinct_merchants_30d"]) == (2.0, 3.0)
    assert (found["is_new_category_30d"], found["category_share_30d"]) == (0.0, 0.5)


def test_distances_and_speed_come_from_the_coordinates() -> None:
    rows = [
        transaction(1, START - 2 * HOUR, lat=48.8566, lon=2.3522),
        transaction(2, START, lat=52.52, lon=13.405, home_lat=52.52, home_lon=13.405),
    ]
    found = last(rows)
    assert found["km_from_home"] == 0.0
    assert found["km_from_prev"] == pytest.approx(877.5, abs=1.0)  # Paris to Berlin
    assert found["kmh_from_prev"] == pytest.approx(found["km_from_prev"] / 2)
    assert found["is_new_location_30d"] == 1.0


@pytest.mark.parametrize(
    ("before", "now", "is_new"),
    [
        ({"lat": 52.51, "lon": 13.40}, {"lat": 52.52, "lon": 13.405}, 0.0),
        ({"lat": 52.51, "lon": 13.40}, {"lat": 52.61, "lon": 13.405}, 1.0),
        ({"country": "DE"}, {"country": "DE", "device_id": "new"}, 0.0),
        ({"device_id": "DE"}, {"country": "DE"}, 1.0),
        ({"device_id": "phone"}, {"device_id": "phone"}, 0.0),
        ({"device_id": "phone"}, {}, 0.0),
        ({"lat": float("nan"), "lon": 1.0, "country": "DE"}, {"country": "DE"}, 0.0),
    ],
)
def test_a_location_is_its_cell_else_its_country_else_its_device(
    before: dict[str, object], now: dict[str, object], is_new: float
) -> None:
    rows = [transaction(1, START - DAY, **before), transaction(2, START, **now)]
    assert last(rows)["is_new_location_30d"] == is_new


def test_merchant_risk_counts_labels_known_in_time_and_hours_long_closed() -> None:
    rows = [
        transaction(1, START - 40 * DAY, user_id="bob"),
        transaction(2, START - 20 * DAY, user_id="bob"),
        transaction(3, START - 9 * DAY, user_id="eve"),
        transaction(4, START - 8 * DAY, user_id="bob"),
        transaction(5, START - 6 * DAY, user_id="bob"),
        transaction(6, START - 3 * HOUR, user_id="bob"),
        transaction(7, START - MINUTE, user_id="bob"),
        transaction(8, START - 8 * DAY, user_id="bob", merchant_id="bar"),
        transaction(9, START + 3 * MINUTE),
    ]
    known_at = (START, START - DAY, START - DAY, START + DAY, START - DAY)
    labels = [
        Label(row.transaction_id, 1, instant, "chargeback")
        for row, instant in zip(rows, known_at, strict=False)
    ]
    found = last(rows, labels)
    assert found["merchant_cnt_24h"] == 2.0
    assert found["merchant_cnt_30d_lag"] == 3.0
    assert found["merchant_fraud_rate_7d_lag"] == pytest.approx((1 + 0.01) / (1 + 2))
    assert found["merchant_fraud_rate_30d_lag"] == pytest.approx((2 + 0.01) / (2 + 2))


def test_an_hour_counts_only_once_it_has_been_over_for_two_minutes() -> None:
    sold = transaction(1, START - MINUTE, user_id="bob")
    early = last([sold, transaction(2, START + 2 * MINUTE - 1)])
    late = last([sold, transaction(2, START + 2 * MINUTE)])
    assert (early["merchant_cnt_24h"], late["merchant_cnt_24h"]) == (0.0, 1.0)


def test_a_late_row_never_enters_a_window_that_closed_before_it_came() -> None:
    late = transaction(1, START - HOUR, ingested_at_us=START + SECOND)
    before = last([late, transaction(2, START)])
    after = last([late, transaction(2, START, ingested_at_us=START + SECOND)])
    assert (before["cnt_24h"], after["cnt_24h"]) == (0.0, 1.0)
    assert before["secs_since_prev"] == 2_592_000.0


def test_a_late_row_is_not_in_its_merchants_hours_either() -> None:
    late = transaction(1, START - 3 * HOUR, user_id="bob", ingested_at_us=START - MINUTE)
    soon = last([late, transaction(2, START)])
    later = last([late, transaction(2, START + HOUR)])
    assert (soon["merchant_cnt_24h"], later["merchant_cnt_24h"]) == (0.0, 1.0)


def test_features_do_not_depend_on_the_order_of_the_frame() -> None:
    rows = [transaction(n, START + n * HOUR, merchant_id=f"m{n % 3}") for n in range(20)]
    there = compute(frame(rows))
    back = compute(frame(rows[::-1]))
    np.testing.assert_array_equal(there, back[::-1])
