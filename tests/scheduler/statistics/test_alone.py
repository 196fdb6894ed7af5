"""A candidate without a champion is held to floors by its lower bounds, and says so."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler.statistics.alone import Path, judge_alone
from scheduler.statistics.measure import Plan
from shared.verdicts import Outcome
from tests.scheduler.statistics.worlds import Draw

QUICK = Plan(resamples=200)


def test_a_first_model_that_reaches_its_floors_passes_and_names_the_path(draw: Draw) -> None:
    floors = {"auc": 0.7, "average_precision": 0.1}
    verdict = judge_alone(draw(), floors, Path.FIRST_MODEL, plan=QUICK)
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["path"] == "first_model"
    assert 0.7 < float(verdict.numbers["auc.lower"] or 0) < 0.85


def test_a_point_above_the_floor_is_not_enough(draw: Draw) -> None:
    evidence = draw(positives=100)
    found = judge_alone(evidence, {"auc": 0.5}, Path.CHAMPION_UNSCORABLE).numbers["auc.candidate"]
    verdict = judge_alone(evidence, {"auc": float(found or 0) - 0.001}, Path.CHAMPION_UNSCORABLE)
    assert verdict.outcome is Outcome.FAIL
    assert "floor" in verdict.reason


def test_without_floors_or_positives_or_scores_nothing_passes(draw: Draw) -> None:
    evidence = draw()
    broken = replace(evidence, candidate=np.full(len(evidence.labels), np.nan))
    for verdict in (
        judge_alone(evidence, {}, Path.FIRST_MODEL),
        judge_alone(draw(positives=30), {"auc": 0.5}, Path.FIRST_MODEL),
        judge_alone(broken, {"auc": 0.5}, Path.FIRST_MODEL),
    ):
        assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_floor_for_an_unknown_metric_is_a_mistake(draw: Draw) -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        judge_alone(draw(), {"accuracy": 0.5}, Path.FIRST_MODEL)
