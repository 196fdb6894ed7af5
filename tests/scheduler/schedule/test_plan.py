"""Whenever somebody looks, and however often: every due instant has one answer."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.schedule.plan import answer, follow
from scheduler.schedule.table import ScheduleRow
from shared.clock import MICROS_PER_HOUR
from shared.intervals import Interval, next_due
from shared.tables.job_schedules import JobSchedule, ScheduleAnswer
from shared.tables.runs import RunStatus
from tests.scheduler.fakes import NOW_US

WINDOW_US = 30 * MICROS_PER_HOUR
JOB = "retraining"
intervals = st.sampled_from(["1H", "6H", "1D", "1W", "1M", "0 3 * * 1-5", "PT90M"])
# how long until somebody looks again, whether a run is not over then, whether the looker
# dies before anything is written
looks = st.lists(
    st.tuples(st.integers(1, 60 * MICROS_PER_HOUR), st.booleans(), st.booleans()),
    min_size=1,
    max_size=10,
)


@given(interval=intervals, looks=looks)
@settings(max_examples=60, deadline=None)
def test_no_instant_is_lost_or_answered_twice(
    interval: str, looks: list[tuple[int, bool, bool]]
) -> None:
    row = ScheduleRow(interval, is_enabled=True, anchor_us=NOW_US)
    stored = follow(JOB, row, None, NOW_US)
    now_us, answers = NOW_US, list[ScheduleAnswer]()
    for pause_us, is_busy, dies in [*looks, (1, False, False)]:
        now_us += pause_us
        step = answer(follow(JOB, row, stored, now_us), now_us, WINDOW_US, 7 if is_busy else None)
        if dies:
            continue
        stored = step.schedule
        answers += step.answers
        begun = [one for one in step.answers if one.status is RunStatus.REQUESTED]
        assert len(begun) <= (0 if is_busy else 1)
        assert all(now_us - one.due_us <= WINDOW_US for one in begun)

    assert [one.due_us for one in answers] == every_due(interval, NOW_US, now_us)
    assert stored.next_due_us == next_due(Interval.parse(interval), NOW_US, now_us)


@settings(max_examples=60, deadline=None)
@given(
    before=intervals,
    after=intervals,
    changed=st.integers(0, 200 * MICROS_PER_HOUR),
    is_enabled=st.booleans(),
)
def test_a_change_neither_owes_what_was_before_it_nor_loses_what_comes(
    before: str, after: str, changed: int, *, is_enabled: bool
) -> None:
    stored = follow(JOB, ScheduleRow(before, is_enabled, NOW_US), None, NOW_US)
    now_us = NOW_US + changed
    schedule = follow(JOB, ScheduleRow(after, True, NOW_US), stored, now_us)

    is_change = not is_enabled or Interval.parse(before) != Interval.parse(after)
    since = now_us if is_change else NOW_US
    assert schedule.next_due_us == next_due(Interval.parse(after), NOW_US, since)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.sampled_from(["1D", "1H", "soon", "", "61 * * * *"]), max_size=8))
def test_what_is_in_force_is_always_the_last_text_that_parses(texts: list[str]) -> None:
    stored: JobSchedule | None = None
    for text in texts:
        stored = follow(JOB, ScheduleRow(text, True, NOW_US), stored, NOW_US)
        good = [one for one in texts[: texts.index(text) + 1] if one in {"1D", "1H"}]
        assert (stored.problem is None) == (text in {"1D", "1H"})
        if good and text in good:
            assert stored.interval == text
    if stored is not None and not any(text in {"1D", "1H"} for text in texts):
        assert stored.interval == "1W"


def every_due(interval: str, after_us: int, until_us: int) -> list[int]:
    parsed, found = Interval.parse(interval), [after_us]
    while (due_us := next_due(parsed, NOW_US, found[-1])) <= until_us:
        found.append(due_us)
    assert all(a < b for a, b in pairwise(found))
    return found[1:]
