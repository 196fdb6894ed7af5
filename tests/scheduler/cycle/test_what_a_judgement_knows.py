"""What the metrics gate is told of earlier runs, and that a judgement can be repeated."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine

from scheduler.decision import from_json, replay
from scheduler.gates import Contest, judge_metrics
from scheduler.run_history import compared_this_year, has_drifted
from scheduler.schedule.jobs import DRIFT, RETRAINING
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.sample import Floats
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY
from shared.scoring.session import OnnxModel
from shared.tables.runs import Run, RunStatus, request_run
from tests.scheduler.fakes import NOW_US
from tests.support.cycle_bench import CycleBench, record

JANUARY_US = NOW_US  # the clock of the tests begins with a year
COMPARED = [{"gate": "metrics", "outcome": "FAIL", "reason": "", "numbers": {"compared": True}}]
ALONE = [{"gate": "metrics", "outcome": "PASS", "reason": "", "numbers": {"path": "first_model"}}]
BEFORE = [{"gate": "data_quality", "outcome": "FAIL", "reason": "", "numbers": {}}]


def metrics_of(run: Run) -> dict[str, object]:
    [verdict] = [item for item in run.verdicts if item["gate"] == "metrics"]
    numbers: dict[str, object] = verdict["numbers"]
    return numbers


def test_only_comparisons_of_this_calendar_year_count(engine: Engine) -> None:
    for place, verdicts in enumerate((COMPARED, ALONE, BEFORE, COMPARED)):
        record(engine, RETRAINING, JANUARY_US + place, verdicts=verdicts)
    record(engine, RETRAINING, JANUARY_US - MICROS_PER_DAY, verdicts=COMPARED)
    record(engine, DRIFT, JANUARY_US + MICROS_PER_DAY, verdicts=COMPARED)
    request_run(engine, RETRAINING, JANUARY_US + 9, "still waiting")

    assert compared_this_year(engine, JANUARY_US) == 2
    assert compared_this_year(engine, JANUARY_US - 1) == 1


def test_every_comparison_is_a_round_and_spends_its_share(bench: CycleBench) -> None:
    first, second, third = (metrics_of(bench.run()) for _ in range(3))

    assert "round_number" not in first
    assert (second["round_number"], third["round_number"]) == (1, 2)
    assert second["alpha"] == third["alpha"] == pytest.approx(0.05 * 0.9 / 52)
    assert float(str(third["alpha_left"])) == pytest.approx(0.05 - 2 * 0.05 * 0.9 / 52)


@pytest.mark.parametrize(
    ("metrics", "drifted"),
    [({"alarm": True}, True), ({"alarm": False}, False), ({"alarm": "yes"}, False), ({}, False)],
)
def test_the_newest_drift_check_says_whether_the_data_has_drifted(
    engine: Engine, metrics: dict[str, object], drifted: bool
) -> None:
    assert has_drifted(engine, None) is False
    record(engine, DRIFT, JANUARY_US, metrics={"alarm": not drifted})
    record(engine, DRIFT, JANUARY_US + 1, metrics=metrics)
    assert has_drifted(engine, None) is drifted


def test_an_alarm_about_an_older_champion_is_over(engine: Engine) -> None:
    record(engine, DRIFT, JANUARY_US, metrics={"alarm": True})
    assert has_drifted(engine, JANUARY_US - 1)
    assert not has_drifted(engine, JANUARY_US)


def test_drift_lets_an_equal_candidate_replace_a_young_champion(bench: CycleBench) -> None:
    bench.run()
    record(bench.context.engine, DRIFT, bench.clock.now_us(), metrics={"alarm": True})
    run = bench.run()

    assert (run.status, run.model_version) == (RunStatus.SUCCEEDED, "1.0.1")
    assert "the data has drifted" in metrics_reason(run)


def metrics_reason(run: Run) -> str:
    return next(str(item["reason"]) for item in run.verdicts if item["gate"] == "metrics")


def test_rows_a_champion_learned_from_do_not_judge_its_successor(bench: CycleBench) -> None:
    bench.run()
    # an earlier instant: its held-out rows are inside the champion's training window
    bench.clock.move(-20 * MICROS_PER_DAY)
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_inconclusive")
    assert "inside a training window" in metrics_reason(run)


def test_a_bundle_tells_its_metrics_with_intervals(bench: CycleBench) -> None:
    run = bench.run()

    raw = bench.context.candidates.bundle(Version(1, 0, 0))
    assert raw is not None
    manifest = unpack(raw).manifest
    low, high = manifest.metric_intervals["average_precision"]
    assert low < float(manifest.metrics["average_precision"] or 0) < high
    assert run.metrics["intervals"]["average_precision"] == [low, high]


def test_a_judgement_is_repeated_to_the_last_bit_from_what_is_kept(bench: CycleBench) -> None:
    bench.run()
    run = bench.run()
    numbers = metrics_of(run)

    kept = pl.read_parquet(bench.root / "test_data" / run.metrics["held_out"]["file"])
    evidence = Evidence(
        candidate=scores_of(bench, Version(1, 0, 1), kept),
        champion=scores_of(bench, Version(1, 0, 0), kept),
        labels=kept["label"].to_numpy(),
        customers=kept["user_id"].to_numpy(),
        days=kept["event_time"].to_numpy() // MICROS_PER_DAY,
        slices={
            name.removeprefix("slice: "): kept[name].to_numpy()
            for name in kept.columns
            if name.startswith("slice: ")
        },
        champion_age_days=float(str(numbers["champion_age_days"])),
        round_number=int(str(numbers["round_number"])),
        trained_until_us=int(str(numbers["trained_until_us"])),
        held_out_from_us=int(str(numbers["held_out_from_us"])),
    )
    contest = Contest(evidence, "1.0.0", new_recipe=False, unscorable_reason=None)
    again = judge_metrics(contest, bench.use_case.policy, bench.context.seed)

    assert dict(again.numbers) == numbers
    assert again.reason == metrics_reason(run)
    assert replay(run.decision) == from_json(run.decision)


def scores_of(bench: CycleBench, version: Version, kept: pl.DataFrame) -> Floats:
    raw = bench.context.candidates.bundle(version)
    assert raw is not None
    model = OnnxModel.load(unpack(raw))
    matrix = kept.select(model.manifest.feature_names).to_numpy().astype(np.float32)
    return bench.use_case.headline(model.score(np.ascontiguousarray(matrix)))


def test_a_policy_of_superiority_only_never_refreshes_by_age(bench: CycleBench) -> None:
    policy = bench.use_case.policy
    bench.use_case.policy = replace(policy, refresh=policy.new_recipe)
    bench.run()
    bench.clock.move(60 * MICROS_PER_DAY)

    assert bench.run().status is RunStatus.REFUSED
