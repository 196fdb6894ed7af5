"""A champion that is fresh is told before anything is read or trained; a person may insist."""

import pytest

from shared.clock import MICROS_PER_DAY
from shared.tables.runs import ForcedBy, RunStatus
from tests.support.cycle_bench import CycleBench, record

SAME = "same recipe"
ANNA = ForcedBy("anna (trigger)", "the shop in Graz has opened")


@pytest.fixture
def fresh(bench: CycleBench) -> CycleBench:
    """1.0.0 serves, and was made by the recipe that every run here has."""
    assert bench.run(recipe=SAME).status is RunStatus.SUCCEEDED
    bench.use_case.trained_on.clear()
    return bench


def test_a_fresh_champion_ends_a_run_before_anything_is_read_or_trained(fresh: CycleBench) -> None:
    run = fresh.run(recipe=SAME)

    assert (run.status, run.code) == (RunStatus.NOT_DUE, "champion_fresh")
    assert "champion 1.0.0 is 0.0 days old and due after 7" in str(run.message)
    assert "understudy retrain --force" in str(run.message)
    assert [step["step"] for step in run.steps] == ["champion", "due"]
    assert (run.model_version, run.champion_version) == (None, "1.0.0")
    assert fresh.use_case.trained_on == []


def test_an_old_champion_is_contested(fresh: CycleBench) -> None:
    fresh.clock.move(8 * MICROS_PER_DAY)

    assert fresh.run(recipe=SAME).status is RunStatus.SUCCEEDED


def test_drift_makes_a_young_champion_due(fresh: CycleBench) -> None:
    record(fresh.context.engine, "drift", fresh.clock.now_us(), metrics={"alarm": True})
    fresh.clock.move(1)
    run = fresh.run(recipe=SAME)

    assert (run.status, run.model_version) == (RunStatus.SUCCEEDED, "1.0.1")
    assert "the data has drifted" in str(run.verdicts)


def test_another_recipe_is_tried_on_a_fresh_champion(fresh: CycleBench) -> None:
    fresh.run(recipe="edited")

    assert len(fresh.use_case.trained_on) == 1


def test_a_person_may_insist_and_the_run_keeps_who_and_why(fresh: CycleBench) -> None:
    run = fresh.run(recipe=SAME, forced=ANNA)

    assert (run.status, run.model_version) == (RunStatus.SUCCEEDED, "1.0.1")
    assert (run.forced_by, run.forced_reason) == (ANNA.person, ANNA.reason)
    [verdict] = [each for each in run.verdicts if each["gate"] == "metrics"]
    assert "asked for by anna (trigger)" in verdict["reason"]
    assert verdict["numbers"]["forced_by"] == "anna (trigger)"


def test_insisting_does_not_make_a_worse_candidate_good(fresh: CycleBench) -> None:
    fresh.use_case.weights = (0.3, 0.0, 2.0)
    run = fresh.run(recipe=SAME, forced=ANNA)

    assert (run.status, run.code) == (RunStatus.REFUSED, "metrics_fail")
