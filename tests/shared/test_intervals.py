"""Due instants: a fixed grid, exact in calendar months and years."""

import itertools
from datetime import UTC, datetime

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import to_datetime, to_micros
from shared.intervals import Interval, next_due

STEPS = {
    "1H": relativedelta(hours=1),
    "1D": relativedelta(days=1),
    "1W": relativedelta(weeks=1),
    "1M": relativedelta(months=1),
    "1Y": relativedelta(years=1),
}
SUPPORTED = tuple(STEPS)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis wants naive bounds
    to_micros
)
WRITTEN = (
    *SUPPORTED,
    "PT90M",
    "P1M2DT3H",
    "TZ=Europe/Paris daily 02:30",
    "TZ=America/Santiago weekly sunday 00:00",
    "TZ=Australia/Lord_Howe monthly 31 02:15",
    "TZ=Europe/Paris 30 2 * * *",
    "TZ=America/New_York 0 * * * *",
    "0,59 2,3 1 * 5",
)
intervals = st.sampled_from(WRITTEN).map(Interval.parse)


def dues(text: str, anchor: str, count: int) -> list[str]:
    interval, anchor_us = Interval.parse(text), to_micros(datetime.fromisoformat(anchor))
    found, after_us = [], anchor_us
    for _ in range(count):
        after_us = next_due(interval, anchor_us, after_us)
        found.append(to_datetime(after_us).date().isoformat())
    return found


def test_a_month_from_31_january_ends_with_each_month() -> None:
    assert dues("1M", "2027-01-31T10:00:00+00:00", 4) == [
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
        "2027-05-31",
    ]


def test_a_month_from_31_january_reaches_29_february_in_a_leap_year() -> None:
    assert dues("1M", "2028-01-31T10:00:00+00:00", 1) == ["2028-02-29"]


def test_a_year_from_29_february_returns_to_it_in_the_next_leap_year() -> None:
    assert dues("1Y", "2028-02-29T00:00:00+00:00", 4) == [
        "2029-02-28",
        "2030-02-28",
        "2031-02-28",
        "2032-02-29",
    ]


@pytest.mark.parametrize("text", SUPPORTED)
def test_two_years_of_due_instants_equal_an_independent_oracle(text: str) -> None:
    anchor = datetime(2027, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    interval, anchor_us, end = Interval.parse(text), to_micros(anchor), anchor.replace(year=2029)
    oracle = itertools.takewhile(
        lambda moment: moment <= end, (anchor + STEPS[text] * k for k in itertools.count(1))
    )
    after_us = anchor_us
    for moment in oracle:
        after_us = next_due(interval, anchor_us, after_us)
        assert to_datetime(after_us) == moment


@given(intervals, instants, instants, st.floats(0, 1, exclude_max=True))
def test_no_instant_lies_between_now_and_the_next_one(
    interval: Interval, anchor_us: int, now_us: int, share: float
) -> None:
    upcoming = next_due(interval, anchor_us, now_us)
    between_us = min(now_us + int((upcoming - now_us) * share), upcoming - 1)

    assert now_us < upcoming
    assert next_due(interval, anchor_us, between_us) == upcoming
    assert next_due(interval, anchor_us, upcoming) > upcoming


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "H1",
        "0W",
        "1 W",
        "P",
        "PT",
        "weekly",
        "weekly someday 03:00",
        "daily 24:00",
        "monthly 32 03:00",
        "1W; DROP TABLE",
        "\u0661H",
        "PT59S",
        "P0D",
        "0 0 31 2 *",
        "61 * * * *",
        "* * * * * *",
        "TZ=Europe/Atlantis 1D",
        "TZ=../../etc/passwd 1D",
    ],
)
def test_anything_else_is_not_an_interval(text: str) -> None:
    with pytest.raises(ValueError, match=r"use |too short|not a cron|never comes"):
        Interval.parse(text)


def test_case_and_surrounding_spaces_do_not_matter() -> None:
    assert Interval.parse(" 1w ") == Interval.parse("1W")
