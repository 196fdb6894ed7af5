"""The cycle from snapshot to record, over every way it can end."""

import json
from dataclasses import replace

import polars as pl
import pytest
from sqlalchemy import insert

from scheduler.decision import from_json, replay
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY
from shared.contracts.rollouts import Mode
from shared.keys.store import key_id, verify
from shared.scoring.session import OnnxModel
from shared.tables.runs import RunStatus
from shared.tables.schema import features_config
from shared.verdicts import Outcome
from tests.support.cycle_bench import CycleBench

STEPS_OF_A_PROMOTION = [
    "champion",
    "due",
    "snapshot",
    "quarantine",
    "data_quality",
    "features",
    "split",
    "feature_quality",
    "train",
    "package",
    "evaluate",
    "latency",
    "api_health",
    "metrics",
    "decide",
    "sign",
    "push",
    "verify",
]


def test_the_first_model_is_trained_judged_signed_pushed_and_recorded(bench: CycleBench) -> None:
    run = bench.run()

    assert (run.status, run.code, run.model_version) == (
        RunStatus.SUCCEEDED,
        "first_model",
        "1.0.0",
    )
    assert [step["step"] for step in run.steps] == STEPS_OF_A_PROMOTION
    assert run.data_size == bench.use_case.rows
    assert [verdict["outcome"] for verdict in run.verdicts] == ["PASS"] * 5
    assert run.metrics["candidate"]["average_precision"] > 0.3
    assert run.metrics["candidate"]["undefined"] is None
    assert replay(run.decision) == from_json(run.decision)
    [(raw, signature)] = bench.api.pushed
    public = bench.private_key.public_key()
    assert verify(raw, signature, {key_id(public): public})
    manifest = unpack(raw).manifest
    assert manifest.training_data.rows + run.metrics["held_out"]["rows"] == run.data_size
    assert manifest.parent_version is None


def test_the_candidate_and_its_verdicts_are_kept_beside_each_other(bench: CycleBench) -> None:
    bench.run()

    folder = bench.root / "retrained_models" / "1.0.0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle.sig",
        "bundle.zip",
        "verdicts.json",
    ]
    record = json.loads((folder / "verdicts.json").read_text())
    assert record["decision"]["action"] == "PROMOTE"
    assert record["status"] == "SUCCEEDED"


def test_the_kept_held_out_set_repeats_the_candidates_scores(bench: CycleBench) -> None:
    run = bench.run()

    kept = pl.read_parquet(bench.root / "test_data" / run.metrics["held_out"]["file"])
    raw = bench.context.candidates.bundle(Version(1, 0, 0))
    assert raw is not None
    model = OnnxModel.load(unpack(raw))
    matrix = kept.select(model.manifest.feature_names).to_numpy()
    scores = bench.use_case.headline(model.score(matrix))
    repeated = bench.use_case.metrics(scores, kept["label"].to_numpy(), kept)
    assert repeated["average_precision"] == run.metrics["candidate"]["average_precision"]


def test_an_equal_candidate_does_not_replace_a_fresh_champion(bench: CycleBench) -> None:
    bench.run()
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.NOT_DUE, "champion_fresh")
    assert "no worse, but the champion is fresh" in str(run.message)
    assert (run.model_version, run.champion_version) == ("1.0.1", "1.0.0")
    assert bench.api.serving is not None
    assert bench.api.serving.version == "1.0.0"
    assert not (bench.root / "retrained_models" / "1.0.1" / "bundle.sig").exists()


def test_an_equal_candidate_replaces_a_champion_past_its_age(bench: CycleBench) -> None:
    bench.run()
    bench.clock.move(8 * MICROS_PER_DAY)
    run = bench.run()

    assert (run.status, run.model_version) == (RunStatus.SUCCEEDED, "1.0.1")
    assert unpack(bench.api.pushed[1][0]).manifest.parent_version == "1.0.0"


@pytest.mark.parametrize("is_answer_lost", [False, True])
def test_a_version_that_is_rolled_out_is_on_trial_and_not_called_promoted(
    bench: CycleBench, is_answer_lost: bool
) -> None:
    bench.context = replace(bench.context, reports=True)
    bench.run()
    bench.clock.move(8 * MICROS_PER_DAY)
    bench.api.rollout, bench.api.lose_push_answer = Mode.CANARY, is_answer_lost
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.ON_TRIAL, "on_trial")
    assert "5 % of users" in str(run.message)
    version = Version.parse("1.0.1")
    record, page = (
        bench.context.candidates.verdicts(version), bench.context.candidates.report(version)
    )  # fmt: skip
    assert record is not None
    assert record["status"] == "ON_TRIAL"
    assert page is not None
    assert "ON TRIAL, NOT PROMOTED YET" in page
    assert "on trial beside 1.0.0" in page
    assert "was promoted" not in page


def test_a_better_recipe_is_promoted_as_a_minor_version(bench: CycleBench) -> None:
    bench.use_case.weights = (1.0, 0.0, 0.8)
    with bench.context.engine.begin() as connection:
        connection.execute(insert(features_config).values(featurename="speed", isenabled=0))
    bench.run()
    bench.use_case.weights = (2.0, 1.0, 0.0)
    with bench.context.engine.begin() as connection:
        connection.execute(features_config.delete())
    run = bench.run()

    assert bench.use_case.trained_on == [("size", "noise"), ("size", "speed", "noise")]
    assert (run.status, run.model_version) == (RunStatus.SUCCEEDED, "1.1.0")


def test_a_worse_candidate_is_refused_as_worse(bench: CycleBench) -> None:
    bench.run()
    bench.use_case.weights = (0.3, 0.0, 2.0)
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_fail")
    assert "worse" in str(run.message)


def test_a_champion_whose_bundle_is_gone_is_not_silently_replaced(bench: CycleBench) -> None:
    bench.run()
    (bench.root / "retrained_models" / "1.0.0" / "bundle.zip").unlink()
    bench.api.gives_bundles = False
    bench.clock.move(100 * MICROS_PER_DAY)
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_inconclusive")
    assert "cannot be scored" in str(run.message)
    assert run.decision["inputs"]["champion_scored"] is False


def test_a_policy_may_allow_replacing_a_champion_that_cannot_be_scored(bench: CycleBench) -> None:
    bench.run()
    (bench.root / "retrained_models" / "1.0.0" / "bundle.zip").unlink()
    bench.api.gives_bundles = False
    bench.use_case.policy = replace(bench.use_case.policy, allow_unscorable_champion=True)
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "promoted_over_unscored_champion")


def test_bad_data_is_not_learned_from(bench: CycleBench) -> None:
    bench.use_case.quality = Outcome.FAIL
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "data_quality_fail")
    assert bench.use_case.trained_on == []
    assert bench.api.pushed == []


def test_features_that_leak_are_not_learned_from(bench: CycleBench) -> None:
    bench.use_case.feature_quality = Outcome.FAIL
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "feature_quality_fail")
    assert [verdict["gate"] for verdict in run.verdicts] == ["data_quality", "feature_quality"]
    assert bench.use_case.trained_on == []


def test_data_that_cannot_be_fetched_fails_the_run_with_the_reason(bench: CycleBench) -> None:
    bench.use_case.snapshot_error = "the disk is on fire"
    run = bench.run()

    assert (run.status, run.code, run.message) == (
        RunStatus.FAILED,
        "data_unavailable",
        "the disk is on fire",
    )
    assert run.steps[-1]["result"] == "failed"


def test_training_that_fails_leaves_the_old_model_serving(bench: CycleBench) -> None:
    bench.run()
    bench.use_case.training_error = "classifier: did not converge"
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.FAILED, "training_failed")
    assert run.message == "classifier: did not converge"
    assert bench.api.serving is not None
    assert bench.api.serving.version == "1.0.0"


def test_an_api_that_is_not_well_gets_no_model(bench: CycleBench) -> None:
    bench.api.statuses["/api/health"] = 503
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "api_health_fail")
    assert bench.api.pushed == []


def test_an_api_that_is_away_fails_the_run(bench: CycleBench) -> None:
    bench.api.away = True
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.FAILED, "api_unavailable")


def test_a_push_the_api_refuses_fails_the_run_with_its_words(bench: CycleBench) -> None:
    bench.api.push_status = 409
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.FAILED, "push_refused")
    assert "409: no, thank you" in str(run.message)


def test_a_promotion_that_not_all_workers_followed_is_recorded_as_partial(
    bench: CycleBench,
) -> None:
    bench.api.partial = "1 of 2 workers serve it; worker 1: unknown key"
    run = bench.run()

    assert run.status is RunStatus.SUCCEEDED
    assert "worker 1: unknown key" in str(run.message)
    results = {step["step"]: step["result"] for step in run.steps}
    assert results["push"] == "partial"


def test_a_push_whose_answer_was_lost_is_found_to_have_arrived(bench: CycleBench) -> None:
    bench.api.lose_push_answer = True
    run = bench.run()

    assert run.status is RunStatus.SUCCEEDED
    results = {step["step"]: step["result"] for step in run.steps}
    assert (results["push"], results["verify"]) == ("unknown", "ok")


def test_a_stop_request_ends_the_run_as_interrupted(bench: CycleBench) -> None:
    bench.context.interruption.request()
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.FAILED, "interrupted")


def test_a_candidate_that_reaches_no_floor_does_not_become_the_first_model(
    bench: CycleBench,
) -> None:
    bench.use_case.weights = (0.0, 0.0, 1.0)
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_fail")
    assert "below" in str(run.message)


def test_every_feature_switched_off_fails_the_run(bench: CycleBench) -> None:
    with bench.context.engine.begin() as connection:
        connection.execute(insert(features_config).values(featurename="all", isenabled=0))
    run = bench.run()

    assert (run.status, run.code) == (RunStatus.FAILED, "not_enough_history")
    assert "every feature" in str(run.message)


def test_old_candidates_and_held_out_sets_are_deleted_but_never_the_champion(
    bench: CycleBench,
) -> None:
    for _ in range(6):
        bench.run()

    kept = sorted(path.name for path in (bench.root / "retrained_models").iterdir())
    assert kept == ["1.0.0", "1.0.3", "1.0.4", "1.0.5"]
    assert len(list((bench.root / "test_data").iterdir())) == 4


def test_only_the_steps_that_matter_are_timed_and_counted(bench: CycleBench) -> None:
    run = bench.run()

    rows = {step["step"]: step.get("rows") for step in run.steps}
    assert rows["snapshot"] == rows["features"] == bench.use_case.rows
    assert all(step["duration_seconds"] >= 0 for step in run.steps)
