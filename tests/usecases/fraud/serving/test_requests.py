"""Requests: what is refused, what is filled in, and which instant is meant."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, to_datetime
from shared.transaction import MAX_AMOUNT, Transaction
from usecases.fraud.answers.examples import EXAMPLES
from usecases.fraud.requests import TransactionRequest, to_transaction

NOW_US = 1_767_609_000_000_000  # 2026-01-05T10:30:00Z

FULL: dict[str, Any] = {
    "transaction_id": "t-1",
    "user_id": "u-1",
    "merchant_id": "m-1",
    "event_time": "2026-01-05T10:15:00+02:00",
    "amount": 12.5,
    "currency": "USD",
    "transaction_type": "transfer",
    "merchant_category": "food",
    "channel": "pos",
    "country": "DE",
    "lat": 52.5,
    "lon": 13.4,
    "home_lat": 52.4,
    "home_lon": 13.0,
    "device_id": "d-1",
    "utc_offset_min": 60,
}


def parse(body: Any) -> TransactionRequest:
    return TransactionRequest.model_validate_json(json.dumps(body))


def test_an_amount_alone_is_a_request_with_declared_defaults() -> None:
    transaction = to_transaction(parse({"amount": 3}), NOW_US)
    assert transaction.amount == 3.0
    assert transaction.user_id == f"anonymous-{transaction.transaction_id}"
    assert transaction.merchant_id == f"anonymous-{transaction.transaction_id}"
    assert transaction.transaction_type == "purchase"
    assert transaction.currency == "EUR"
    assert transaction.event_time_us == transaction.ingested_at_us == NOW_US
    assert transaction.country is None


def test_two_rows_without_an_id_get_different_ids() -> None:
    request = parse({"amount": 3})
    ids = {to_transaction(request, NOW_US).transaction_id for _ in range(50)}
    assert len(ids) == 50


def test_the_four_field_request_is_accepted_and_its_region_becomes_the_country() -> None:
    body = {
        "amount": 9.99,
        "transaction_type": "purchase",
        "transaction_time": 3,
        "location_region": "EU",
    }
    transaction = to_transaction(parse(body), NOW_US)
    assert transaction.country == "EU"
    assert to_datetime(transaction.event_time_us).hour == 3


def test_every_field_that_is_sent_arrives() -> None:
    transaction = to_transaction(parse(FULL), NOW_US)
    assert to_datetime(transaction.event_time_us).isoformat() == "2026-01-05T08:15:00+00:00"
    for name, value in FULL.items():
        if name != "event_time":
            assert getattr(transaction, name) == value


def test_a_country_outranks_a_region() -> None:
    request = parse({"amount": 1, "country": "FR", "location_region": "EU"})
    assert to_transaction(request, NOW_US).country == "FR"


@given(hour=st.integers(0, 23), now_us=st.integers(0, 4_000_000_000_000_000))
def test_an_hour_means_its_latest_instant_not_after_now(hour: int, now_us: int) -> None:
    request = TransactionRequest(amount=1.0, transaction_time=hour)
    instant_us = to_transaction(request, now_us).event_time_us
    assert now_us - MICROS_PER_DAY < instant_us <= now_us
    assert instant_us // MICROS_PER_HOUR % 24 == hour
    next_us = instant_us + 1
    assert next_us > now_us or next_us // MICROS_PER_HOUR % 24 != hour


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", -0.01),
        ("amount", MAX_AMOUNT * 1.01),
        ("amount", "12.5"),
        ("amount", True),
        ("amount", None),
        ("amount", float("nan")),
        ("amount", float("inf")),
        ("lat", float("nan")),
        ("lat", 90.5),
        ("lon", -181),
        ("transaction_time", 24),
        ("transaction_time", -1),
        ("transaction_time", 3.5),
        ("transaction_time", "3"),
        ("transaction_time", True),
        ("transaction_type", "teleport"),
        ("channel", "pigeon"),
        ("user_id", ""),
        ("user_id", 17),
        ("user_id", "x" * 129),
        ("user_id", "nul\x00byte"),
        ("merchant_id", "line\nbreak"),
        ("merchant_category", "x" * 65),
        ("location_region", "x" * 33),
        ("utc_offset_min", 900),
        ("event_time", "2026-01-05T10:15:00"),
        ("event_time", "2026-01-05"),
        ("event_time", 1_700_000_000),
        ("event_time", "1700000000"),
        ("event_time", "yesterday"),
        ("event_time", ""),
        ("amuont", 3),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refusal:
        parse({"amount": 1.0, field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


@pytest.mark.parametrize("text", ['{"amount": 1e400}', '{"amount": -Infinity}', '{"amount": NaN}'])
def test_numbers_json_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"finite|valid"):
        TransactionRequest.model_validate_json(text)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"currency": "XXQ"}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"lat": 1.0}, "lat"),
        ({"home_lon": 1.0}, "home_lat"),
        ({"event_time": "2026-01-06T10:30:01Z"}, "event_time"),
        ({"event_time": "9999-12-31T23:59:59-14:00"}, "event_time"),
        ({"event_time": "1969-12-31T23:59:59Z"}, "event_time"),
    ],
)
def test_what_is_well_typed_but_makes_no_sense_names_its_field(
    body: dict[str, Any], field: str
) -> None:
    request = parse({"amount": 1.0, **body})
    with pytest.raises(ValueError, match=f"^{field}: "):
        to_transaction(request, NOW_US)


def test_a_clock_that_is_a_day_ahead_is_still_accepted() -> None:
    request = parse({"amount": 1.0, "event_time": "2026-01-06T10:30:00Z"})
    assert to_transaction(request, NOW_US).event_time_us == NOW_US + MICROS_PER_DAY


def test_a_row_of_a_batch_validates_as_python_objects_too() -> None:
    assert TransactionRequest.model_validate(FULL) == parse(FULL)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_documented_example_is_accepted_as_it_stands(name: str) -> None:
    transaction = to_transaction(parse(EXAMPLES[name]), NOW_US)
    assert NOW_US - MICROS_PER_DAY < transaction.event_time_us <= NOW_US


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(list(TransactionRequest.model_fields))
NEAR_MISSES = st.dictionaries(
    FIELDS,
    JSON
    | st.sampled_from(list(FULL.values()))
    | st.floats(-200, 200)
    | st.datetimes().map(lambda d: d.isoformat() + "Z")
    | st.text(alphabet=string.printable, max_size=5),
)


def attempt(request: TransactionRequest) -> tuple[Transaction | None, str]:
    try:
        return to_transaction(request, NOW_US), ""
    except ValueError as error:
        return None, str(error)


def understood_or_refused(raw: bytes) -> None:
    try:
        request = TransactionRequest.model_validate_json(raw)
    except ValidationError:
        return
    transaction, refusal = attempt(request)
    if transaction is None:
        assert refusal.split(":")[0] in TransactionRequest.model_fields
        return
    assert 0 <= transaction.amount <= MAX_AMOUNT
    assert 0 <= transaction.event_time_us <= NOW_US + MICROS_PER_DAY


@given(body=JSON | NEAR_MISSES | NEAR_MISSES.map(lambda body: {**body, "amount": 1.0}))
def test_any_json_is_either_understood_or_refused(body: Any) -> None:
    understood_or_refused(json.dumps(body).encode())


@given(raw=st.binary())
def test_any_bytes_are_either_understood_or_refused(raw: bytes) -> None:
    understood_or_refused(raw)
