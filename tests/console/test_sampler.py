"""Samples of metrics: 24 hours, in memory that is bounded."""

import math

import httpx

from console.sampler import MOST_SERIES, Sampler, Samples, SeriesKey, parse_samples

TEXT = """# HELP understudy_decisions_total Rows
understudy_decisions_total{decision="block"} 3.0
understudy_requests_total{route="/predict",status="200"} 5.0
understudy_requests_total{route="/feedback",status="200"} 2.0
understudy_version_row_seconds_bucket{version="1.0.0",activation="7",le="0.1"} 4.0
understudy_version_row_seconds_bucket{version="1.0.1",activation="9",le="0.1"} 6.0
understudy_something_else 1.0
understudy_decisions_total{decision="approve \\"quoted\\""} nonsense
"""


def test_only_known_families_are_kept_and_other_labels_are_summed() -> None:
    assert parse_samples(TEXT) == {
        ("understudy_decisions_total", (("decision", "block"),)): 3.0,
        ("understudy_requests_total", (("status", "200"),)): 7.0,
        ("understudy_version_row_seconds_bucket", (("le", "0.1"),)): 10.0,
    }


def test_a_day_is_kept_and_no_more_of_a_series_or_of_series() -> None:
    samples = Samples(period_seconds=3_600)
    for hour in range(60):
        found: dict[SeriesKey, float] = {
            ("understudy_decisions_total", (("decision", f"d{n}"),)): 1.0 for n in range(200)
        }
        samples.add(float(hour), found)
    kept = samples.series("understudy_decisions_total")
    assert len(samples.instants()) == 24
    assert len(kept) == MOST_SERIES
    assert {len(one.values) for one in kept} == {24}
    assert samples.left_out > 0


def test_a_source_that_does_not_answer_leaves_a_gap_and_the_other_goes_on() -> None:
    answers = iter(["understudy_swaps_total 1.0", "understudy_swaps_total 2.0"])
    calls = iter([True, False, True])

    def api() -> str:
        if next(calls):
            return next(answers)
        raise httpx.ConnectError("away")

    instants = iter([1.0, 2.0, 3.0])
    samples = Samples(15)
    sampler = Sampler(
        samples, [api, lambda: "understudy_runs_total 4.0"], 15, lambda: next(instants)
    )
    for _ in range(3):
        sampler.sample()
    (swaps,), (runs,) = (
        samples.series("understudy_swaps_total"),
        samples.series("understudy_runs_total"),
    )
    assert [value for value in swaps.values if not math.isnan(value)] == [1.0, 2.0]
    assert math.isnan(swaps.values[1])
    assert list(runs.values) == [4.0, 4.0, 4.0]
