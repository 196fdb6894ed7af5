"""The gate's error and power for the measures of every task; a part of `make bench-promotion`.

Twelve rounds a year, a margin of 2 % of the champion's value, as a declared use case has them.
Guardrails and slices can only refuse, so what must not be promoted is counted without them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report import Bar
from benchmarks.task_worlds import TASK_METRICS, TaskWorld, draw_task
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import JudgePolicy, PromotionKind

ROUNDS_A_YEAR = 12
MARGIN = 0.02
GAINS = (0.02, 0.05)
SIZES = (2_000, 10_000)
PIECES = 4


@dataclass(frozen=True)
class TaskRounds:
    """Some rounds of one world for one process."""

    label: str
    world: TaskWorld
    rounds: int
    seed: int
    years: bool = False


def policy(metric: str, kind: PromotionKind) -> JudgePolicy:
    return JudgePolicy(
        kind,
        primary_metric=metric,
        margin=f"{MARGIN:.0%}",
        rounds_per_year=ROUNDS_A_YEAR,
        min_positives=50,
    )


def run_rounds(asked: TaskRounds) -> tuple[str, Counter[str]]:
    """Count what each policy promoted, by round, and by year for superiority."""
    rng = np.random.default_rng([asked.seed, asked.world.rows])
    counts: Counter[str] = Counter(rounds=asked.rounds)
    false_years = set()
    for index in range(asked.rounds):
        year, month = divmod(index, ROUNDS_A_YEAR) if asked.years else (index, 0)
        evidence = draw_task(asked.world, rng, month + 1)
        for kind in PromotionKind:
            verdict = judge(evidence, policy(asked.world.metric, kind))
            counts[kind] += verdict.passed
            if verdict.passed and kind is PromotionKind.SUPERIORITY:
                false_years.add(year)
        gain = verdict.numbers.get(f"{asked.world.metric}.gain")
        counts["point"] += float(gain or 0.0) > 0.0
    counts["false_years"] = len(false_years) if asked.years else 0
    return asked.label, counts


def task_rounds(years: int, rounds: int) -> Iterator[TaskRounds]:
    """All simulations, in pieces."""
    for metric in TASK_METRICS:
        equal, worse = TaskWorld(metric), TaskWorld(metric, loss=MARGIN)
        sizes = [years // PIECES + (part < years % PIECES) for part in range(PIECES)]
        for part, size in enumerate(sizes):
            label = f"{metric}_equal"
            yield TaskRounds(label, equal, size * ROUNDS_A_YEAR, 100 + part, years=True)
            label = f"{metric}_worse"
            yield TaskRounds(label, worse, size * ROUNDS_A_YEAR, 200 + part)
        for rows in SIZES:
            for gain in GAINS:
                label = f"{metric}_power_{rows}_{gain:.0%}".replace("%", "_percent")
                yield TaskRounds(label, replace(equal, rows=rows, loss=-gain), rounds, 300)


def task_figures(sums: Mapping[str, Counter[str]], years: int) -> dict[str, float]:
    """Shares of rounds (and of years) that ended in a promotion."""
    figures: dict[str, float] = {"task_years": years}
    for label, counts in sums.items():
        rounds = max(counts["rounds"], 1)
        if label.endswith("_equal"):
            figures[f"{label}_years_promoted"] = counts["false_years"] / max(years, 1)
        for kind in PromotionKind:
            figures[f"{label}_{kind}"] = counts[kind] / rounds
        figures[f"{label}_by_point_estimate"] = counts["point"] / rounds
    return figures


def task_bars() -> dict[str, Bar]:
    limits: dict[str, Bar] = {"task_years": (">=", 1_000)}
    for metric in TASK_METRICS:
        limits[f"{metric}_equal_years_promoted"] = ("<=", 0.05)
        for kind in PromotionKind:
            limits[f"{metric}_worse_{kind}"] = ("<=", 0.01)
    return limits
