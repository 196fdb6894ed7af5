"""Counters of several workers: a death makes none of them run backwards."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.settings import Settings
from api.workers.merged_metrics import CountsBefore, Family
from tests.api.bundles import Signer
from tests.api.server import wait_until
from tests.api.workers.crew import Crew

ROWS = re.compile(r'understudy_requests_total\{route="/score",status="200",worker="1"\} (\S+)')


def counter(name: str, **values: float) -> Family:
    return name, "text", "counter", [(f"{name}_total", {"v": v}, n) for v, n in values.items()]


def gauge(name: str, value: float) -> Family:
    return name, "text", "gauge", [(name, {}, value)]


def test_counts_go_on_from_those_of_the_process_before_and_gauges_do_not() -> None:
    before = CountsBefore([counter("understudy_x", a=3, b=4), gauge("understudy_y", 5)])
    found = list(before.added_to([counter("understudy_x", a=1), gauge("understudy_y", 2)]))
    values = {tuple(labels.values()): value for _, labels, value in found[0][3]}
    assert values == {("a",): 4, ("b",): 4}
    assert found[1:] == [gauge("understudy_y", 2)]


def test_what_is_kept_elsewhere_and_what_is_the_processs_own_is_not_added() -> None:
    names = ("understudy_worker_hangs", "understudy_rollout_requests", "process_cpu_seconds")
    before = CountsBefore([counter(name, a=3) for name in names])
    now = [counter(name, a=1) for name in names]
    assert list(before.added_to(now)) == now


def test_a_series_that_the_new_process_has_not_is_still_there() -> None:
    before = CountsBefore([counter("understudy_x", a=3)])
    assert list(before.added_to([])) == [counter("understudy_x", a=3)]


@given(st.lists(st.integers(0, 20), max_size=40))
def test_deaths_do_not_make_the_versions_grow_for_ever(served: list[int]) -> None:
    before = CountsBefore(())
    for number in served:
        samples = [("understudy_x_total", {"version": f"1.0.{number}"}, 1.0)]
        family: Family = ("understudy_x", "text", "counter", samples)  # type: ignore[assignment]
        published = list(before.added_to([family]))
        versions = [labels["version"] for _, labels, _ in published[0][3]]
        assert versions[-1] == f"1.0.{number}"
        assert len(versions) <= 9
        before = CountsBefore(published)


@pytest.mark.slow
def test_a_worker_that_is_killed_goes_on_from_its_counts(
    settings: Settings, signer: Signer
) -> None:
    with Crew(settings.journal_dir.parent, 2) as crew:

        def rows() -> float:
            found = ROWS.search(crew.client.get("/metrics").text)
            return -1.0 if found is None else float(found[1])

        def score() -> None:
            answer = crew.client.post("/score", json={"amount": 2.0})
            assert answer.status_code == 200

        while rows() < 20:
            score()
        seen = rows()
        crew.kill(1)
        wait_until(lambda: 1 in crew.states(), 30)
        wait_until(lambda: rows() >= 0, 30)
        after = [rows() for _ in range(20)]
        assert min(after) >= seen
        assert after == sorted(after)
