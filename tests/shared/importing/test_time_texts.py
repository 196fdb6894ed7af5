"""Dates and times of real exports; what is ambiguous is asked for, what is wrong refused."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import to_micros
from shared.importing.times import read_time_texts

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what a text without a zone says
FIVE_TO_NINE = datetime(2026, 1, 5, 9, 5)  # noqa: DTZ001


def _naive(text: str, order: str | None = None) -> datetime | None:
    said = read_time_texts(pl.Series([text], dtype=pl.String), order)  # type: ignore[arg-type]
    us = said.naive_us[0]
    return None if us is None else EPOCH + timedelta(microseconds=us)


def _offset_minutes(text: str) -> float | None:
    us = read_time_texts(pl.Series([text], dtype=pl.String), None).offset_us[0]
    return None if us is None else us / 60_000_000


FORMS = [
    "2026-01-05T09:05:00",
    "2026-01-05 09:05",
    "2026-1-5 9:05",
    "2026/01/05 09:05:00",
    "2026.01.05 09:05",
    "20260105T090500",
    "20260105 090500",
    "20260105090500",
    "20260105 09:05",
    "2026-01-05-09.05.00.000000",
    "05-JAN-26 09.05.00.000000 AM",
    "05-Jan-2026 09:05:00",
    "05JAN2026:09:05:00",
    "5 January 2026 09:05",
    "5 Jan 2026, 09:05",
    "Jan 5, 2026 9:05 AM",
    "January 5th, 2026 at 9:05 am",
    "Mon Jan  5 09:05:00 2026",
    "Mon, 05 Jan 2026 09:05:00",
    "Monday, January 5, 2026 9:05 a.m.",
    "5 Okt 2026 09:05".replace("Okt", "ene"),
    "5. Januar 2026 09:05",
    "5 de enero de 2026 09:05",
    "5 gen 2026 09:05",
]


@pytest.mark.parametrize("text", FORMS)
def test_a_form_that_says_which_number_is_what_is_read(text: str) -> None:
    assert _naive(text) == FIVE_TO_NINE


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("05/01/2026 09:05", "day first"),
        ("01/05/2026 9:05 AM", "month first"),
        ("05.01.2026 09:05", "day first"),
        ("5.1.26 9:05", "day first"),
        ("05-01-2026 09:05:00", "day first"),
    ],
)
def test_a_short_date_is_read_in_the_order_of_its_column(text: str, order: str) -> None:
    assert _naive(text, order) == FIVE_TO_NINE
    assert _naive(text) is None


ODD_CLOCKS = [
    ("2026-01-05 24:00:00", datetime(2026, 1, 6)),  # noqa: DTZ001
    ("2026-01-05 23:59:60", datetime(2026, 1, 6)),  # noqa: DTZ001
    ("2026-01-05 12:15 AM", datetime(2026, 1, 5, 0, 15)),  # noqa: DTZ001
    ("2026-01-05 12:15 PM", datetime(2026, 1, 5, 12, 15)),  # noqa: DTZ001
    ("2026-01-05 10:15:00 PM", datetime(2026, 1, 5, 22, 15)),  # noqa: DTZ001
    ("2026-01-05 22:15 PM", datetime(2026, 1, 5, 22, 15)),  # noqa: DTZ001
    ("2026-01-05 10:15:00,123", datetime(2026, 1, 5, 10, 15, 0, 123_000)),  # noqa: DTZ001
    ("2026-01-05 10:15:00.123456789", datetime(2026, 1, 5, 10, 15, 0, 123_456)),  # noqa: DTZ001
]


@pytest.mark.parametrize(("text", "moment"), ODD_CLOCKS)
def test_midnight_noon_leap_seconds_and_fractions(text: str, moment: datetime) -> None:
    assert _naive(text) == moment


ZONES = [
    ("Z", 0),
    ("z", 0),
    (" UTC", 0),
    (" GMT", 0),
    ("+00", 0),
    (" +0000", 0),
    ("+01:00[Europe/Paris]", 60),
    ("-0800", -480),
    ("-3:30", -210),
    ("+5", 300),
    ("+14:00", 840),
]


@pytest.mark.parametrize(("zone", "minutes"), ZONES)
def test_a_zone_may_be_written_behind(zone: str, minutes: int) -> None:
    text = "2026-01-05 10:15:00" + zone
    assert _offset_minutes(text) == minutes
    assert _naive(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30",
        "2026-13-01",
        "2026-01-05 25:00",
        "2026-01-05 24:00:01",
        "2026-01-05 10:61",
        "2026-01-05 13:00 AM",
        "2026-01-05 10:15:00+99:00",
        "2026-01-05 10:15:00 CET",
        "5 Foo 2026",
        "46027.427",
        "yesterday",
        "",
    ],
)
def test_what_is_no_instant_or_names_an_ambiguous_zone_is_refused(text: str) -> None:
    assert _naive(text) is None


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["%Y-%m-%dT%H:%M:%S.%f", "%d %b %Y %H:%M:%S.%f", "%Y%m%d%H%M%S.%f"]),
)
def test_every_moment_comes_back_to_the_microsecond(moment: datetime, form: str) -> None:
    assert _naive(moment.strftime(form)) == moment


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_an_offset_is_taken_off(moment: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = f"{moment.isoformat()}{sign}{hours:02}:{rest:02}"
    said = read_time_texts(pl.Series([text]), None)
    expected = to_micros(datetime.fromisoformat(text).astimezone(UTC))
    assert said.naive_us[0] - said.offset_us[0] == expected
