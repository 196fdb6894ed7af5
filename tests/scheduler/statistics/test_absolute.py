"""A candidate without a champion is held to floors by its lower bounds, and says so."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler.statistics.absolute import Path, intervals, judge_absolute
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from shared.verdicts import Outcome
from tests.scheduler.statistics.worlds import Draw

POLICY = JudgePolicy(PromotionKind.SUPERIORITY, resamples=200)


def test_a_first_model_that_reaches_its_floors_passes_and_names_the_path(draw: Draw) -> None:
    floors = {"auc": 0.7, "average_precision": 0.1}
    verdict = judge_absolute(draw(), floors, Path.FIRST_MODEL, POLICY)
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["path"] == "first_model"
    assert 0.7 < float(verdict.numbers["auc.lower"] or 0) < 0.85


def test_a_point_above_the_floor_is_not_enough(draw: Draw) -> None:
    evidence = draw(positives=100)
    loose = judge_absolute(evidence, {"auc": 0.5}, Path.CHAMPION_UNSCORABLE, POLICY)
    floor = float(loose.numbers["auc.candidate"] or 0) - 0.001
    verdict = judge_absolute(evidence, {"auc": floor}, Path.CHAMPION_UNSCORABLE, POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert "floor" in verdict.reason


def test_without_floors_or_positives_or_scores_nothing_passes(draw: Draw) -> None:
    evidence = draw()
    broken = replace(evidence, candidate=np.full(len(evidence.labels), np.nan))
    for verdict in (
        judge_absolute(evidence, {}, Path.FIRST_MODEL, POLICY),
        judge_absolute(draw(positives=30), {"auc": 0.5}, Path.FIRST_MODEL, POLICY),
        judge_absolute(broken, {"auc": 0.5}, Path.FIRST_MODEL, POLICY),
    ):
        assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_floor_for_an_unknown_metric_is_a_mistake(draw: Draw) -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        judge_absolute(draw(), {"f1": 0.5}, Path.FIRST_MODEL, POLICY)


def test_rows_inside_the_training_window_prove_nothing_of_a_first_model(draw: Draw) -> None:
    evidence = replace(draw(), trained_until_us=9, held_out_from_us=9)
    verdict = judge_absolute(evidence, {"auc": 0.5}, Path.FIRST_MODEL, POLICY)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "training window" in verdict.reason


def test_intervals_hold_the_estimate_and_narrow_with_more_positives(draw: Draw) -> None:
    few, many = (intervals(draw(positives=count), POLICY) for count in (100, 900))
    found = judge_absolute(draw(positives=900), {"auc": 0.5}, Path.FIRST_MODEL, POLICY)
    low, high = many["auc"]
    assert low < float(found.numbers["auc.candidate"] or 0) < high
    assert high - low < (few["auc"][1] - few["auc"][0]) / 2
    assert set(many) == {"auc", "average_precision", "recall_at_budget"}


def test_one_class_has_no_intervals(draw: Draw) -> None:
    evidence = draw()
    assert intervals(replace(evidence, labels=np.zeros_like(evidence.labels)), POLICY) == {}
