"""A candidate that does not beat its own baselines is not promoted, on any path."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.task_worlds import TASK_METRICS, TaskWorld, draw_task
from scheduler.statistics.absolute import Path, judge_absolute
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import constant_scores, judge
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from shared.verdicts import Outcome

POLICY = JudgePolicy(
    PromotionKind.SUPERIORITY, "ndcg_at_5", margin="2 %", rounds_per_year=12, min_positives=20
)


def evidence(**baselines: float) -> Evidence:
    """A candidate 5 % better than the champion; baselines lose this share against it."""
    drawn = draw_task(TaskWorld("ndcg_at_5", 1_000, loss=-0.05), np.random.default_rng(3))
    rng = np.random.default_rng(4)
    scores = {
        name: drawn.candidate + noise * rng.standard_normal(drawn.candidate.shape)
        for name, noise in baselines.items()
    }
    return replace(drawn, baselines=scores)


@pytest.mark.parametrize("first", [False, True])
def test_baselines_that_are_beaten_leave_the_verdict_to_the_champion(*, first: bool) -> None:
    verdict = judged(evidence(ridge=1.0, own_vector=1.5), first=first)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert float(verdict.numbers["baseline.ridge.lower"] or 0) > 0


@pytest.mark.parametrize("first", [False, True])
def test_a_baseline_that_is_not_beaten_refuses(*, first: bool) -> None:
    equal = judged(evidence(own_vector=1.5, ridge=0.0), first=first)
    assert equal.outcome is Outcome.INCONCLUSIVE
    assert "not shown to beat its baseline: ndcg_at_5 of ridge" in equal.reason
    drawn = evidence(ridge=0.0)
    rng = np.random.default_rng(5)
    spoilt = drawn.candidate + rng.standard_normal(drawn.candidate.shape)
    worse = judged(replace(drawn, candidate=spoilt, champion=spoilt), first=first)
    assert worse.outcome is Outcome.FAIL


@pytest.mark.parametrize("metric", TASK_METRICS)
def test_without_floors_a_first_model_has_to_beat_the_best_constant_answer(metric: str) -> None:
    policy = replace(POLICY, primary_metric=metric, first_model_beats_constant=True)
    drawn = replace(draw_task(TaskWorld(metric, 1_500), np.random.default_rng(1)), champion=None)
    verdict = judge_absolute(drawn, {}, Path.FIRST_MODEL, policy)
    assert verdict.outcome is Outcome.PASS, verdict.reason
    constant = replace(drawn, candidate=constant_scores(drawn))
    assert judge_absolute(constant, {}, Path.FIRST_MODEL, policy).outcome is Outcome.INCONCLUSIVE
    bare = replace(policy, first_model_beats_constant=False)
    assert judge_absolute(drawn, {}, Path.FIRST_MODEL, bare).outcome is Outcome.INCONCLUSIVE


def judged(drawn: Evidence, *, first: bool):  # type: ignore[no-untyped-def]  # noqa: ANN201
    if first:
        return judge_absolute(drawn, {"ndcg_at_5": 0.2}, Path.FIRST_MODEL, POLICY)
    return judge(drawn, POLICY)
