"""One text means one instant, whether it comes in a file's column or alone."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.importing.times import read_time_texts
from shared.instant_texts import UNSTATED, instant_us, read_instant

WRITTEN = (
    "2026-01-05",
    "2026-01-05T10:15:00Z",
    "2026-01-05 10:15",
    "2026-01-05 10:15:30.123456789 +0100",
    "2026-01-05T10:15:30,5+01:00[Europe/Paris]",
    "2026/1/5 9:05",
    "2026-01-05-10.15.00.123456",
    "20260105",
    "20260105 101500",
    "20260105T101500Z",
    "05-JAN-26 10.15.00 AM",
    "5 Jan 2026",
    "05 January 2026 22:15",
    "Jan 5, 2026 10:15 PM",
    "Monday, January 5th, 2026 at 10:15 UTC",
    "Mon Jan  5 10:15:00 2026",
    "05.01.2026",
    "5.1.26 10:15",
    "5. Dez. 2025",
    "2026-01-05 24:00",
    "31-DEC-69",
)


@pytest.mark.parametrize("text", [text for text in WRITTEN if not text.startswith("5. ")])
def test_a_text_alone_is_the_instant_that_it_is_in_a_column(text: str) -> None:
    column = read_time_texts(pl.Series([text]), "day first")
    offset = column.offset_us[0]
    moment = read_instant(text)
    assert instant_us(moment) == column.naive_us[0] - (offset or 0)
    assert (moment.tzinfo is UNSTATED) == (offset is None)


@given(
    st.datetimes(), st.sampled_from(("%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%Y%m%d", "%d %b %Y"))
)
def test_what_is_written_is_read(moment: object, form: str) -> None:
    text = moment.strftime(form)  # type: ignore[attr-defined]
    if not text[:1].isdigit() or moment.year < 1970:  # type: ignore[attr-defined]
        return
    assert read_instant(text).strftime(form) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("05/01/2026", "year first"),
        ("2026-02-30", "no such date"),
        ("2026-01-05 25:00", "no such date"),
        ("yesterday", "2026-01-05T10:15:00Z"),
        ("2026-01-05T10:15:00+19:00", "no zone is"),
        ("", "2026-01-05T10:15:00Z"),
        ("1767323045", "2026-01-05T10:15:00Z"),
    ],
)
def test_what_is_no_instant_or_could_be_two_is_refused_with_the_remedy(
    text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        read_instant(text)


def test_a_date_that_can_be_read_one_way_only_is_read() -> None:
    assert read_instant("25/01/2026") == read_instant("01/25/2026") == read_instant("2026-01-25")
    assert read_instant("05/05/2026") == read_instant("2026-05-05")
