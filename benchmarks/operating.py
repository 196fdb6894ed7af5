"""Error rate and power of the operating point's guard: `make bench-operating`.

Rounds are those of `benchmarks/promotion.py` with positives of two kinds, most found surely, as on
real cards. Each model alerts on the rows above a threshold: one that both share, or one that each
chose on validation rows of its own, as every training does. Only the figures of the operating
point are asked, under Holm's correction over them alone: with the other guards beside them they
refuse less.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.promotion import SHIPPED, World, draw
from benchmarks.report import Bar, finish
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.guardrails import measure_guardrails
from scheduler.statistics.operating_point import PRECISION, operating_point
from scheduler.statistics.policy import JudgePolicy, PromotionKind
from scheduler.statistics.sample import Bools, Floats

WORLD = World(400, correlation=0.95, days=14, auc=0.9, easy=0.79)
# a fifth of 120 days of training rows, as in the recipe
VALIDATION = replace(WORLD, positives=690, days=24)
ALERT_SHARE = 0.0055
GUARDED = replace(SHIPPED[PromotionKind.NON_INFERIORITY], guard_metrics={})
STRICT = replace(GUARDED, operating_guards=dict.fromkeys(GUARDED.operating_guards, 0.0))
PIECES = 4


@dataclass(frozen=True)
class Task:
    """Rounds of one kind; the candidate alerts on `more` times as many rows as its share."""

    label: str
    policy: JudgePolicy
    rounds: int
    seed: int
    anew: bool = False
    more: float = 1.0


def run(task: Task) -> tuple[str, int, float, float]:
    """The number of refused rounds, and both models' mean precision."""
    rng = np.random.default_rng([task.seed, 17])
    refused, precisions = 0, []
    for _ in range(task.rounds):
        evidence = with_alerts(draw(WORLD, rng), task, rng)
        sample = evidence.sample()
        guards = measure_guardrails(evidence, sample, task.policy, task.policy.plan)
        refused += bool(guards.harmed(task.policy.guard_alpha))
        precisions.append(
            [
                operating_point(sample, mask, task.policy.plan).figures[PRECISION].value
                for mask in (evidence.champion_alerts, evidence.candidate_alerts)
                if mask is not None
            ]
        )
    before, after = np.mean(precisions, axis=0)
    return task.label, refused, float(before), float(after)


def with_alerts(evidence: Evidence, task: Task, rng: np.random.Generator) -> Evidence:
    """Amounts, and each model's alerts by a threshold that was chosen on other rows."""
    first, second = (validation(rng) for _ in range(2)) if task.anew else (COMMON, COMMON)
    return replace(
        evidence,
        amounts=rng.gamma(2.0, 40.0, size=len(evidence.labels)),
        champion_alerts=above(evidence.champion, first, ALERT_SHARE),
        candidate_alerts=above(evidence.candidate, second, ALERT_SHARE * task.more),
    )


def validation(rng: np.random.Generator) -> Floats:
    """Scores of the rows that a threshold is chosen on."""
    return np.asarray(draw(VALIDATION, rng).candidate, dtype=np.float64)


COMMON = np.concatenate([validation(np.random.default_rng(seed)) for seed in range(12)])


def above(scores: Floats | None, chosen_on: Floats, share: float) -> Bools:
    assert scores is not None
    return np.asarray(scores >= np.quantile(chosen_on, 1.0 - share), dtype=np.bool_)


def tasks(rounds: int) -> list[Task]:
    each = max(1, rounds // PIECES)
    return [
        task
        for part in range(PIECES)
        for task in (
            Task("equal_no_tolerance", STRICT, each, 100 + part),
            Task("equal", GUARDED, each, 200 + part),
            Task("equal_thresholds_anew", GUARDED, each, 300 + part, anew=True),
            Task("precision_falls", GUARDED, each // 2, 400 + part, more=1.28),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000)
    rounds = parser.parse_args().rounds
    todo = tasks(rounds)
    found: dict[str, list[tuple[int, int, float, float]]] = {}
    with ProcessPoolExecutor(2) as pool:
        for task, (label, refused, before, after) in zip(todo, pool.map(run, todo), strict=True):
            found.setdefault(label, []).append((refused, task.rounds, before, after))
            sys.stderr.write(f"{label}: {refused} of {task.rounds}\n")
    figures: dict[str, float] = {"rounds": float(rounds)}
    for label, parts in found.items():
        figures[f"{label}_refused_share"] = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        figures[f"{label}_champion_precision"] = float(np.mean([p[2] for p in parts]))
        figures[f"{label}_candidate_precision"] = float(np.mean([p[3] for p in parts]))
    equal = ("equal_no_tolerance", "equal", "equal_thresholds_anew")
    bars: dict[str, Bar] = {f"{label}_refused_share": ("<=", 0.05) for label in equal}
    bars["precision_falls_refused_share"] = (">=", 0.8)
    finish("operating", figures, bars)


if __name__ == "__main__":
    main()
