"""The daily job, from the rows in the database to the record, the page and the retraining."""

import json
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import update
from structlog.testing import capture_logs

from scheduler.metrics import DriftFigures
from scheduler.run_history import has_drifted
from shared.clock import MICROS_PER_DAY
from shared.tables.runs import RunStatus, claim_next, list_runs
from shared.tables.schema import model_training_runs
from tests.scheduler.report.pages import Page
from tests.support.drift_bench import DriftBench


def retrainings_by_drift(bench: DriftBench) -> int:
    runs = list_runs(bench.engine)
    return sum(run.job == "retraining" and run.requested_by == "drift" for run in runs)


def test_traffic_like_the_training_rows_raises_no_alarm(drift_bench: DriftBench) -> None:
    drift_bench.serve(days=7, seed=1)
    run = drift_bench.check()
    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "no_drift")
    assert run.message is not None
    assert run.message.startswith("No: 1,400 rows look like what 1.0.0 was trained on")
    assert run.metrics["alarm"] is False
    assert {column["name"] for column in run.metrics["columns"]} == {
        "size", "speed", "noise", "score",
    }  # fmt: skip
    assert retrainings_by_drift(drift_bench) == 0


def test_a_feature_that_moved_is_named_and_a_retraining_is_asked_for(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1, shift=0.6)
    with capture_logs() as lines:
        run = drift_bench.check()
    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "drift")
    assert run.metrics["drifted"] == ["size", "score"]
    asked = next(other for other in list_runs(drift_bench.engine) if other.requested_by == "drift")
    assert (asked.job, asked.status) == ("retraining", RunStatus.REQUESTED)
    assert run.metrics["retraining_run"] == asked.run_id
    assert f"(run {asked.run_id} has been asked for)" in str(run.message)
    alarm = next(line for line in lines if line["event"] == "drift_alarm")
    assert set(alarm["columns"]) == {"size", "score"}
    assert alarm["log_level"] == "warning"


def test_an_alarm_promotes_nothing_and_tells_the_gate_that_the_data_has_drifted(
    drift_bench: DriftBench,
) -> None:
    pushed = len(drift_bench.cycle.api.pushed)
    drift_bench.serve(days=7, seed=1, shift=0.6)
    assert not has_drifted(drift_bench.engine, None)
    drift_bench.check()
    assert has_drifted(drift_bench.engine, None)
    assert len(drift_bench.cycle.api.pushed) == pushed


def test_the_cool_down_is_read_from_stored_runs_so_a_restart_forgets_nothing(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1, shift=0.6)
    assert drift_bench.check().metrics["retraining_run"] is not None
    finish_everything(drift_bench)
    for seed in (2, 3):
        drift_bench.serve(days=3, seed=seed, shift=0.6)
        # check() makes a new runner each time: it remembers nothing itself
        again = drift_bench.check()
        assert (again.code, again.metrics["retraining_run"]) == ("drift", None)
    drift_bench.serve(days=1, seed=9, shift=0.6)
    assert drift_bench.check().metrics["retraining_run"] is not None
    assert retrainings_by_drift(drift_bench) == 2


def test_an_alarm_starts_no_second_run_beside_one_that_is_not_over(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1, shift=0.6)
    asked = drift_bench.check().metrics["retraining_run"]
    running = claim_next(drift_bench.engine)
    assert running is not None
    assert running.run_id == asked
    drift_bench.cycle.clock.move(30 * MICROS_PER_DAY)
    drift_bench.serve(days=7, seed=2, shift=0.6)
    again = drift_bench.check()
    assert again.metrics["retraining_run"] is None
    assert f"run {asked} is not over yet" in str(again.message)


def finish_everything(bench: DriftBench) -> None:
    statement = update(model_training_runs).values(status="REFUSED")
    with bench.engine.begin() as connection:
        connection.execute(statement.where(model_training_runs.c.status == "REQUESTED"))


def test_scores_of_another_version_are_not_compared_with_the_champions(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1, version="0.9.0")
    run = drift_bench.check()
    assert run.metrics["not_checked"] == {
        "score": "0 rows, 200 are needed",
        "label": "0 rows, 200 are needed",
    }
    assert {column["name"] for column in run.metrics["columns"]} == {"size", "speed", "noise"}


def test_only_labels_that_have_matured_are_compared_and_never_our_own_opinion(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1)
    ids = [f"1-{place}" for place in range(1_400)]
    drift_bench.tell(dict.fromkeys(ids, 1), source="rules")
    assert drift_bench.check().metrics["not_checked"] == {"label": "0 rows, 200 are needed"}
    drift_bench.cycle.clock.move(1)
    drift_bench.tell(dict.fromkeys(ids, 1))
    assert drift_bench.check().metrics["drifted"] == ["label"]


def test_performance_is_estimated_without_labels_and_marked_as_a_warning_only(
    drift_bench: DriftBench,
) -> None:
    drift_bench.serve(days=7, seed=1)
    figures = drift_bench.check().metrics["outlook"]
    assert figures["note"] == "an estimate without labels: an early warning, never used by a gate"
    true = figures["held_out"]["average_precision"]
    expected = figures["expected"]["average_precision"]
    assert expected["low"] - 0.05 < true < expected["high"] + 0.05
    assert figures["matured"] is None


def test_a_page_and_its_json_are_written_and_only_the_latest_kept(
    drift_bench: DriftBench, tmp_path: Path
) -> None:
    drift_bench.serve(days=7, seed=1, shift=0.6)
    runs = []
    for seed in (2, 3, 4):
        drift_bench.serve(days=1, seed=seed, shift=0.6)
        finish_everything(drift_bench)
        runs.append(drift_bench.check())
    names = sorted(path.name for path in (tmp_path / "drift").iterdir())
    kept = [run.run_id for run in runs[1:]]
    assert names == sorted(f"drift_run_{key}.{kind}" for key in kept for kind in ("html", "json"))
    html = (tmp_path / "drift" / runs[-1].metrics["page"]).read_text()
    page = Page(html)
    assert page.left_open == []
    assert not [tag for tag in page.named("script", "link", "img") if tag]
    text = " ".join(page.words)
    assert "Yes: size, score have moved away from what 1.0.0 was trained on" in text
    assert "an early warning, never used as a gate" in text
    assert len(page.named("svg")) == 3
    told = json.loads((tmp_path / "drift" / f"drift_run_{kept[-1]}.json").read_text())
    assert told["alarm"] is True
    assert told["answer"] == runs[-1].message


def test_too_little_traffic_is_not_known_and_no_alarm(drift_bench: DriftBench) -> None:
    run = drift_bench.check()
    assert (run.status, run.code) == (RunStatus.SKIPPED, "not_checked")
    assert run.message == "Not known: 0 rows, 200 are needed."
    assert run.metrics is None


def test_an_hour_of_traffic_is_not_compared_with_whole_days(drift_bench: DriftBench) -> None:
    drift_bench.serve(days=7, seed=1)
    drift_bench.cycle.clock.move(-13 * MICROS_PER_DAY // 2)
    assert drift_bench.check().message == (
        "Not known: the 100 rows are from 11.9 hours; whole days are compared."
    )


def test_without_a_model_or_its_bundle_nothing_is_checked(drift_bench: DriftBench) -> None:
    drift_bench.serve(days=7, seed=1)
    drift_bench.cycle.context.candidates.save_bundle(
        next(iter(drift_bench.cycle.context.candidates.versions())), b"not a bundle"
    )
    drift_bench.cycle.api.gives_bundles = False
    run = drift_bench.check()
    assert run.code == "not_checked"
    assert run.message is not None
    assert "cannot be read" in run.message
    drift_bench.cycle.clock.move(1)
    drift_bench.cycle.api.serving = None
    assert drift_bench.check().message == "Not known: the API serves no model yet."


def test_an_api_that_is_away_fails_the_run_and_not_the_scheduler(drift_bench: DriftBench) -> None:
    drift_bench.cycle.api.away = True
    run_id = drift_bench.check().run_id
    told = next(run for run in list_runs(drift_bench.engine) if run.run_id == run_id)
    assert told.code == "api_unavailable"


def test_the_newest_check_is_told_to_prometheus(drift_bench: DriftBench) -> None:
    registry = CollectorRegistry()
    registry.register(DriftFigures(drift_bench.engine))
    assert registry.get_sample_value("understudy_drift_alarm") is None
    drift_bench.serve(days=7, seed=1, shift=0.6)
    drift_bench.check()
    assert registry.get_sample_value("understudy_drift_alarm") == 1.0
    moved = registry.get_sample_value("understudy_drift_effect_ratio", {"column": "size"})
    assert moved is not None
    assert moved > 1.0
    assert registry.get_sample_value("understudy_drift_checked_timestamp_seconds") is not None
