"""The gates that look at a candidate and at the service it would go to; typed verdicts.

- Latency: the bundle, scored for real, one row at a time, against a budget.
- API health: a model is not pushed at a service that is not well.
- Metrics: chooses a candidate's path, and judges by it. Compared with a champion, a new recipe and
  a routine refresh each have their own policy limits. The first model, and a candidate whose
  champion cannot be scored, are judged by absolute floors; the verdict's numbers name the path, so
  that a promotion by it can be found again.

The quality gates are the use case's own. `judged` makes an exception in any of them an ERROR.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from scheduler.cycle.interruption import Interrupted
from scheduler.decision import API_HEALTH, LATENCY, METRICS
from scheduler.scoring_api import ApiUnavailable, Probe, ScoringApi
from scheduler.statistics.absolute import Path, judge_absolute
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import from_promotion
from shared.usecase.policy import PromotionPolicy
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Outcome, Verdict

Number = float | int | str | bool | None
Judge = Callable[[], Verdict]


def judged(gate: str, judge: Judge) -> Verdict:
    """The judge's verdict; ERROR with the reason when judging itself failed."""
    try:
        verdict = judge()
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 - a gate that breaks must never end the cycle
        reason = f"could not be measured: {type(error).__name__}: {error}"
        return Verdict(gate, Outcome.ERROR, reason)
    return replace(verdict, gate=gate, numbers=finite(verdict.numbers))


def finite(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """The same figures with None for NaN and infinities, which JSON does not have."""
    return {name: _finite(value) for name, value in numbers.items()}


def _finite(value: Number) -> Number:
    return None if isinstance(value, float) and not math.isfinite(value) else value


WARM_UP_ROWS = 50
TIMED_ROWS = 500
NANOS_PER_MILLI = 1_000_000


class RowScorer(Protocol):
    """A loaded bundle."""

    def score(self, matrix: FloatMatrix) -> FloatMatrix: ...


def judge_latency(
    model: RowScorer,
    rows: FloatMatrix,
    budget_ms: float,
    timer_ns: Callable[[], int] = time.perf_counter_ns,
) -> Verdict:
    """Compare the 95th percentile of single-row scoring with the budget."""
    if len(rows) == 0:
        return Verdict(LATENCY, Outcome.INCONCLUSIVE, "there is no held-out row to score")
    for index in range(WARM_UP_ROWS):
        model.score(_row(rows, index))
    taken_ms = [_timed_ms(model, _row(rows, index), timer_ns) for index in range(TIMED_ROWS)]
    p50, p95, p99 = (float(value) for value in np.percentile(taken_ms, (50, 95, 99)))
    outcome = Outcome.PASS if p95 <= budget_ms else Outcome.FAIL
    return Verdict(
        LATENCY,
        outcome,
        f"p95 of one row is {p95:.3f} ms, the budget is {budget_ms:g} ms",
        {
            "p50_ms": round(p50, 4),
            "p95_ms": round(p95, 4),
            "p99_ms": round(p99, 4),
            "budget_ms": budget_ms,
            "rows": TIMED_ROWS,
        },
    )


def _row(rows: FloatMatrix, index: int) -> FloatMatrix:
    position = index % len(rows)
    return np.ascontiguousarray(rows[position : position + 1])


def _timed_ms(model: RowScorer, row: FloatMatrix, timer_ns: Callable[[], int]) -> float:
    started = timer_ns()
    model.score(row)
    return (timer_ns() - started) / NANOS_PER_MILLI


HEALTH = "/api/health"
DOWN = "down"
# Before the first model the API is alive, but by definition not ready to score.
READY, ALIVE = "/readyz", "/livez"


def judge_api_health(api: ScoringApi, *, first_model: bool) -> Verdict:
    """PASS when both probes answer 2xx and nothing is down; an unreachable API is an ERROR.

    Degraded is not down: while the database is away the API scores, and can take a model.
    """
    paths = (ALIVE if first_model else READY, HEALTH)
    try:
        probes = [api.probe(path) for path in paths]
    except ApiUnavailable as error:
        return Verdict(API_HEALTH, Outcome.ERROR, str(error))
    ill = [probe for probe in probes if _is_ill(probe, first_model=first_model)]
    outcome = Outcome.FAIL if ill else Outcome.PASS
    return Verdict(API_HEALTH, outcome, ", ".join(map(_said, ill or probes)), _numbers(probes))


def _is_ill(probe: Probe, *, first_model: bool) -> bool:
    # without a model the API reports `down`, which the first model corrects
    is_down = probe.state == DOWN and not first_model
    return is_down or not 200 <= probe.status < 300


def _said(probe: Probe) -> str:
    state = f" ({probe.state})" if probe.state else ""
    return f"{probe.path} answered {probe.status}{state}"


def _numbers(probes: list[Probe]) -> dict[str, Number]:
    numbers: dict[str, Number] = {}
    for probe in probes:
        numbers[f"{probe.path} status"] = probe.status
        numbers[f"{probe.path} state"] = probe.state
        numbers[f"{probe.path} milliseconds"] = round(probe.milliseconds, 3)
    return numbers


@dataclass(frozen=True, slots=True)
class Contest:
    """A candidate, and the champion it would replace, on the rows of the evidence.

    Attributes:
        evidence: its `champion` is None when there are no scores of one.
        champion_version: None when nothing serves yet.
        new_recipe: features, algorithm or hyperparameters differ from the champion's.
        unscorable_reason: why there is a champion, but no scores of it.
    """

    evidence: Evidence
    champion_version: str | None
    new_recipe: bool
    unscorable_reason: str | None


def judge_metrics(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    """The verdict of the path this contest has to take."""
    if not np.isfinite(contest.evidence.candidate).all():
        return Verdict(METRICS, Outcome.FAIL, "the candidate's scores are not all finite")
    if contest.champion_version is None:
        return _absolute(contest, policy, seed, Path.FIRST_MODEL)
    if contest.evidence.champion is None:
        return _over_unscored_champion(contest, policy, seed)
    held_to = from_promotion(policy, policy.kind(new_recipe=contest.new_recipe), seed)
    verdict = judge(contest.evidence, held_to)
    context: dict[str, Number] = {
        "path": "compared",
        "policy_name": policy.name,
        "new_recipe": contest.new_recipe,
    }
    return replace(verdict, numbers=context | dict(verdict.numbers))


def _over_unscored_champion(contest: Contest, policy: PromotionPolicy, seed: int) -> Verdict:
    reason = f"the champion cannot be scored ({contest.unscorable_reason})"
    if not policy.allow_unscorable_champion:
        numbers = {"path": str(Path.CHAMPION_UNSCORABLE), "policy_name": policy.name}
        return Verdict(METRICS, Outcome.INCONCLUSIVE, reason, numbers)
    verdict = _absolute(contest, policy, seed, Path.CHAMPION_UNSCORABLE)
    allowed = f"{reason}, which policy {policy.name} allows; judged by its floors"
    return replace(verdict, reason=f"{allowed}: {verdict.reason}")


def _absolute(contest: Contest, policy: PromotionPolicy, seed: int, path: Path) -> Verdict:
    held_to = from_promotion(policy, policy.kind(new_recipe=contest.new_recipe), seed)
    floors = {str(metric): floor for metric, floor in policy.first_model_min.items()}
    verdict = judge_absolute(contest.evidence, floors, path, held_to)
    numbers: dict[str, Number] = {
        "policy_name": policy.name,
        "unscorable_reason": contest.unscorable_reason,
    }
    return replace(verdict, numbers=dict(verdict.numbers) | numbers)
