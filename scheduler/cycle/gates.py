"""Runs every gate as a separate step, and decides over all verdicts."""

import numpy as np
import polars as pl

from scheduler.cycle.champion import Champion
from scheduler.cycle.evaluation import Evaluation
from scheduler.cycle.examples import Examples, Material
from scheduler.cycle.packaging import Draft, Sealed
from scheduler.cycle.run import CycleRun
from scheduler.decision import (
    API_HEALTH,
    DATA_QUALITY,
    FEATURE_QUALITY,
    LATENCY,
    METRICS,
    DecisionInputs,
    PromotionDecision,
    decide,
)
from scheduler.gates import (
    TIMED_ROWS,
    Judge,
    judge_api_health,
    judge_latency,
    judge_metrics,
    judged,
)
from scheduler.statistics.verdict_numbers import FRESH


def is_fit_to_learn_from(run: CycleRun, snapshot: pl.DataFrame) -> bool:
    """The data-quality gate; what does not pass is not learned from."""
    use_case = run.context.use_case
    return gate_step(run, DATA_QUALITY, lambda: use_case.check_quality(snapshot, run.as_of_us))


def has_fit_features(run: CycleRun, snapshot: pl.DataFrame, material: Material) -> bool:
    """The feature-quality gate: leaks, mixed rows, features served differently."""
    context = run.context
    return gate_step(
        run,
        FEATURE_QUALITY,
        lambda: context.use_case.check_features(
            context.engine, snapshot, material.matrix, material.split, run.as_of_us
        ),
    )


def examine(run: CycleRun, examples: Examples, unjudged: Draft, evaluation: Evaluation) -> None:
    """The three gates that look at the candidate and at the service it would go to."""
    context = run.context
    timed = np.arange(min(TIMED_ROWS, len(examples.held_out_labels)))
    rows = examples.held_out_columns(unjudged.manifest.feature_names, timed)
    is_first = run.report.champion_version is None
    budget_ms = context.latency_budget_ms
    policy, seed = context.use_case.policy, context.seed
    gate_step(run, LATENCY, lambda: judge_latency(unjudged.model, rows, budget_ms))
    gate_step(run, API_HEALTH, lambda: judge_api_health(context.api, first_model=is_first))
    gate_step(run, METRICS, lambda: judge_metrics(evaluation.contest, policy, seed))


def conclude(run: CycleRun, champion: Champion | None, sealed: Sealed | None) -> PromotionDecision:
    """Decide from the verdicts so far; the report keeps the decision with its inputs."""
    report = run.report
    with run.steps.step("decide") as note:
        decision = decide(
            DecisionInputs(
                candidate_version=report.model_version,
                candidate_sha256=sealed.bundle.sha256 if sealed else None,
                champion_version=report.champion_version,
                first_model=champion is None,
                champion_scored=champion is not None and champion.model is not None,
                policy=run.context.use_case.policy.name,
                verdicts=tuple(report.verdicts),
            )
        )
        report.decision = decision
        note.result, note.details["reason"] = decision.action.value, decision.reason
        return decision


def freshness_alone(run: CycleRun) -> str | None:
    """The comparison in words where only the champion's freshness speaks against the candidate."""
    refused = [verdict for verdict in run.report.verdicts if not verdict.passed]
    is_it = len(refused) == 1 and refused[0].numbers.get(FRESH) is True
    return refused[0].reason if is_it else None


def gate_step(run: CycleRun, gate: str, judge: Judge) -> bool:
    """Run one gate as a step of the run; whether it passed."""
    with run.steps.step(gate) as note:
        verdict = judged(gate, judge)
        note.result, note.details["reason"] = verdict.outcome.value, verdict.reason
        run.report.verdicts.append(verdict)
        return verdict.passed
