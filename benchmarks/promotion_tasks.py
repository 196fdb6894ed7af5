"""The gate's error and power for the measures of every task; a part of `make bench-promotion`.

Twelve rounds a year, a margin of 2 % of the champion's value, as a declared use case has them.
Guardrails and slices can only refuse, so what must not be promoted is counted without them.
Whatever superiority promotes, non-inferiority promotes too, so that a candidate that is worse is
judged by the latter alone; of an equal one the former is the error that a year is allowed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.report import Bar
from benchmarks.task_worlds import TaskWorld, draw_task
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import JudgePolicy, PromotionKind

ROUNDS_A_YEAR = 12
MARGIN = 0.02
GAINS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)
SIZES = (2_000, 10_000, 50_000)
RANKING_SIZES = (200, 500, 2_000)
"""A row of a ranking has 29 items: it says more than a row with one label."""
PIECES = 4
SHAPES = {"": TaskWorld.usual, "_clustered": TaskWorld.clustered}


@dataclass(frozen=True)
class TaskRounds:
    """Some rounds of one world for one process.

    Attributes:
        kinds: the policies to ask.
        years: whether the round number starts again every 12 rounds.
    """

    label: str
    world: TaskWorld
    rounds: int
    seed: int
    kinds: tuple[PromotionKind, ...] = tuple(PromotionKind)
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
        for kind in asked.kinds:
            verdict = judge(evidence, policy(asked.world.metric, kind))
            counts[kind] += verdict.passed
            if verdict.passed and kind is PromotionKind.SUPERIORITY:
                false_years.add(year)
        gain = verdict.numbers.get(f"{asked.world.metric}.gain")
        counts["point"] += float(gain or 0.0) > 0.0
    counts["false_years"] = len(false_years) if asked.years else 0
    return asked.label, counts


def task_rounds(metrics: Sequence[str], years: int, rounds: int) -> Iterator[TaskRounds]:
    """All simulations, in pieces."""
    for metric in metrics:
        for shape, world in SHAPES.items():
            yield from _years(f"{metric}{shape}", world(metric), years)
        for rows in sizes_of(metric):
            for gain in GAINS:
                world_of_gain = TaskWorld(metric, rows=rows, loss=-gain)
                yield TaskRounds(power_label(metric, rows, gain), world_of_gain, rounds, 300)


def _years(name: str, equal: TaskWorld, years: int) -> Iterator[TaskRounds]:
    """Figures of a candidate that is equal, and of one that is worse by the margin."""
    sizes = [years // PIECES + (part < years % PIECES) for part in range(PIECES)]
    worse = replace(equal, loss=MARGIN)
    for part, size in enumerate(sizes):
        rounds = size * ROUNDS_A_YEAR
        better, as_good = (PromotionKind.SUPERIORITY,), (PromotionKind.NON_INFERIORITY,)
        yield TaskRounds(f"{name}_equal", equal, rounds, 100 + part, better, years=True)
        yield TaskRounds(f"{name}_worse", worse, rounds, 200 + part, as_good)


def sizes_of(metric: str) -> tuple[int, ...]:
    """The held-out rows of the power curves of a metric."""
    return RANKING_SIZES if metric == "ndcg_at_5" else SIZES


def power_label(metric: str, rows: int, gain: float) -> str:
    return f"{metric}_power_{rows}_{gain * 100:g}_percent"


def power_table(metrics: Sequence[str], figures: Mapping[str, float]) -> str:
    """The power curves as Markdown: promoted as better / as good, in percent of rounds."""
    lines = ["| metric | rows | " + " | ".join(_better(gain) for gain in GAINS) + " |"]
    lines.append("|---|---|" + "---|" * len(GAINS))
    for metric in metrics:
        for rows in sizes_of(metric):
            labels = [power_label(metric, rows, gain) for gain in GAINS]
            cells = [_cell(figures, label) for label in labels]
            lines.append(f"| {metric} | {rows:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _better(gain: float) -> str:
    return f"better by {gain * 100:g} %" if gain else "equal"


def _cell(figures: Mapping[str, float], label: str) -> str:
    better, as_good = (100 * figures[f"{label}_{kind}"] for kind in PromotionKind)
    return f"{better:.0f} / {as_good:.0f}"


def task_figures(sums: Mapping[str, Counter[str]], years: int) -> dict[str, float]:
    """Shares of rounds (and of years) that ended in a promotion."""
    figures: dict[str, float] = {"task_years": years}
    for label, counts in sums.items():
        rounds = max(counts["rounds"], 1)
        if label.endswith("_equal"):
            figures[f"{label}_years_promoted"] = counts["false_years"] / max(years, 1)
        for kind in PromotionKind:
            if kind in counts:
                figures[f"{label}_{kind}"] = counts[kind] / rounds
        figures[f"{label}_by_point_estimate"] = counts["point"] / rounds
    return figures


def task_bars(metrics: Sequence[str]) -> dict[str, Bar]:
    limits: dict[str, Bar] = {"task_years": (">=", 1_000)}
    for metric in metrics:
        for name in (f"{metric}{shape}" for shape in SHAPES):
            limits[f"{name}_equal_years_promoted"] = ("<=", 0.05)
            limits[f"{name}_worse_{PromotionKind.NON_INFERIORITY}"] = ("<=", 0.01)
    return limits
