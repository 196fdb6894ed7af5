"""A candidate that ranks as well and alerts worse is refused, and the figure is named."""

from dataclasses import replace

from scheduler.schedule.jobs import DRIFT
from shared.bundle.archive import unpack
from shared.tables.runs import RunStatus
from tests.scheduler.fakes import POLICY
from tests.support.cycle_bench import CycleBench, record

STRICT, LAX = 0.93, 0.85
GUARDED = replace(
    POLICY,
    operating_guards={"alert_precision": 0.03, "alert_volume": 0.25, "alert_money": 0.05},
    cost_per_alert=0.01,
)


def drifted_now(bench: CycleBench) -> None:
    """An equal candidate is due: only its alerts can speak against it."""
    record(bench.context.engine, DRIFT, bench.clock.now_us(), metrics={"alarm": True})


def test_a_candidate_whose_threshold_fell_is_refused_for_the_precision_of_its_alerts(
    bench: CycleBench,
) -> None:
    bench.use_case.policy, bench.use_case.review = GUARDED, STRICT
    assert bench.run().status is RunStatus.SUCCEEDED
    bench.use_case.review = LAX
    drifted_now(bench)
    run = bench.run()

    assert run.status is RunStatus.REFUSED
    assert "at the thresholds that would be served" in str(run.message)
    before, after = (run.metrics[role]["alert_precision"] for role in ("champion", "candidate"))
    assert before > after + 0.03
    lower, upper = run.metrics["intervals"]["alert_precision"]
    assert lower < after < upper


def test_the_same_thresholds_pass_and_the_manifest_says_what_the_alerts_were(
    bench: CycleBench,
) -> None:
    bench.use_case.policy, bench.use_case.review = GUARDED, STRICT
    bench.run()
    drifted_now(bench)
    assert bench.run().status is RunStatus.SUCCEEDED
    manifest = unpack(bench.api.pushed[-1][0]).manifest
    assert {"alert_precision", "alert_recall", "alert_volume", "alert_money"} <= set(
        manifest.metrics
    )
    assert "alert_money" in manifest.metric_intervals
