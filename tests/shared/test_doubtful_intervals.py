"""Texts that people of other systems write: read as meant, or refused with what to write."""

from datetime import datetime

import pytest

from shared.clock import to_datetime, to_micros
from shared.intervals import Interval, next_due


def refusal(text: str) -> str:
    try:
        Interval.parse(text)
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{text!r} was taken")


def dues(text: str, start: str, count: int) -> list[str]:
    interval, at = Interval.parse(text), to_micros(datetime.fromisoformat(start))
    found = []
    for _ in range(count):
        at = next_due(interval, 0, at)
        found.append(to_datetime(at).strftime("%d.%m %H:%M"))
    return found


SMALL_M = ("30m", "15m", "90m", "1m", "30 m", "30min", "30 minutes", "every 5 minutes", " 30m ")


@pytest.mark.parametrize("text", [*SMALL_M, "TZ=Europe/Paris 30m"])
def test_a_small_m_is_refused_and_both_meanings_are_named(text: str) -> None:
    count = "".join(filter(str.isdigit, text))
    told = refusal(text)
    assert "m is a month here" in told
    assert f"PT{count}M for minutes or P{count}M for months" in told


@pytest.mark.parametrize("text", ["45M", "25M", "9999M", "TZ=Europe/Paris 60M"])
def test_more_months_than_anybody_means_are_refused(text: str) -> None:
    told = refusal(text)
    assert "months; write P" in told
    assert "for minutes" in told


PLAIN = ("1M", "24M", "P45M", "PT30M", "pt30m", "1h", "2d", "1w", "1y", "P1DT12H")


@pytest.mark.parametrize("text", PLAIN)
def test_what_means_one_thing_is_taken(text: str) -> None:
    assert Interval.parse(text)


def test_every_remedy_is_taken_itself() -> None:
    assert dues("PT30M", "2026-01-01T00:00:00+00:00", 2) == ["01.01 00:30", "01.01 01:00"]
    assert Interval.parse("P30M") != Interval.parse("PT30M")
    assert "PT90S" in refusal("90s")
    assert Interval.parse("PT90S")
    assert refusal("30 3 * * * TZ=Europe/Paris").endswith("write TZ=Europe/Paris 30 3 * * *")
    assert Interval.parse("TZ=Europe/Paris 30 3 * * *")


@pytest.mark.parametrize(
    ("nickname", "cron"),
    [
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@ANNUALLY", "0 0 1 1 *"),
        ("0 3 ? * MON", "0 3 * * MON"),
        ("0 3 1 * ?", "0 3 1 * *"),
        ("TZ=Europe/Paris @daily", "TZ=Europe/Paris 0 0 * * *"),
    ],
)
def test_nicknames_and_question_marks_mean_what_they_do_elsewhere(nickname: str, cron: str) -> None:
    assert Interval.parse(nickname) == Interval.parse(cron)
    assert Interval.parse(nickname).text == nickname


def test_other_dialects_are_refused_with_the_remedy() -> None:
    assert "leave seconds and years out" in refusal("0 0 3 * * ?")
    assert "leave seconds and years out" in refusal("0 0 3 * * ? 2027")
    assert "use one of @hourly, @daily" in refusal("@reboot")
    assert "`?` may only stand for a day" in refusal("? 3 * * *")
    assert "`?` may only stand for a day" in refusal("0 3 ?/2 * *")


# In the night of 25 October 2026 02:00 comes twice in Paris, at 00:00 and 01:00 UTC.
@pytest.mark.parametrize("hours", ["*", "*/1", "0-23", "0-23/1", "0-12,13-23", "*,5"])
def test_a_job_of_every_hour_follows_elapsed_time_however_it_is_written(hours: str) -> None:
    text = f"TZ=Europe/Paris 0 {hours} * * *"
    assert dues(text, "2026-10-24T22:30:00+00:00", 5) == [
        "24.10 23:00", "25.10 00:00", "25.10 01:00", "25.10 02:00", "25.10 03:00",
    ]  # fmt: skip
    assert dues(text, "2026-03-28T23:30:00+00:00", 3) == [
        "29.03 00:00", "29.03 01:00", "29.03 02:00",
    ]  # fmt: skip


def test_a_job_of_some_hours_comes_once_a_wall_time() -> None:
    text = "TZ=Europe/Paris 0 1-3 * * *"
    assert dues(text, "2026-10-24T22:30:00+00:00", 3) == [
        "24.10 23:00",
        "25.10 00:00",
        "25.10 02:00",
    ]
