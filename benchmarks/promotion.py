"""The gate's rates of wrong and of right promotions: `make bench-promotion`.

Every round draws held-out rows, scores them with two simulated models, and asks the real
`judge` under the shipped policy file. Guardrails can only refuse, so what must not be promoted
is counted without them (that is cheaper, and stricter); what must be is counted with them too.
Scores are binormal: normal around 0 for negatives, around a mean set by the true
area under the curve for positives, with unit variance. Rows belong to customers and days,
and both have effects of their own on each model's scores. docs/statistics.md says where the
correlation comes from and what the figures mean.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.promotion_tasks import (
    power_table,
    run_rounds,
    task_bars,
    task_figures,
    task_rounds,
)
from benchmarks.report import Bar, finish
from benchmarks.task_worlds import TASK_METRICS
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.judge import judge
from scheduler.statistics.policy import PromotionKind, from_promotion
from usecases.fraud.training.policy import read_policy

ROUNDS_A_YEAR = 52
PREVALENCE = 0.005
CHAMPION_AUC = 0.87
CORRELATION = 0.9
EASY_MEAN = 4.0
ROWS_PER_CUSTOMER = 13
POSITIVES_PER_HIT_CUSTOMER = 1.5
SHARES = {"row": 0.75, "customer": 0.2, "day": 0.05}
SHIPPED = {kind: from_promotion(read_policy().promotion, kind, seed=0) for kind in PromotionKind}
BARE = {
    kind: replace(policy, guard_metrics={}, operating_guards={}) for kind, policy in SHIPPED.items()
}
NEWEST_SHARE = 0.1
ALERT_SHARE = 0.01


@dataclass(frozen=True)
class World:
    """The true parameters of a simulation; the gate sees only the rows.

    `easy` positives are found nearly always by both models; the area is made up by the rest.
    """

    positives: int
    gain: float = 0.0
    correlation: float = CORRELATION
    days: int = 28
    auc: float = CHAMPION_AUC
    easy: float = 0.0

    def lift(self, auc: float) -> npt.NDArray[np.float64]:
        """The mean score of each positive, so that all together have this area."""
        means = np.full(self.positives, EASY_MEAN)
        easy = round(self.easy * self.positives)
        share = easy / self.positives
        rest = (auc - share * special.ndtr(EASY_MEAN / np.sqrt(2.0))) / (1.0 - share)
        means[easy:] = np.sqrt(2.0) * special.ndtri(rest)
        return means


def draw(world: World, rng: np.random.Generator, round_number: int = 1) -> Evidence:
    """The held-out rows of one round."""
    rows = round(world.positives / PREVALENCE)
    labels = np.zeros(rows, dtype=np.int8)
    labels[: world.positives] = 1
    customers = rng.integers(rows // ROWS_PER_CUSTOMER, size=rows)
    hit = max(1, round(world.positives / POSITIVES_PER_HIT_CUSTOMER))
    customers[: world.positives] = rng.integers(hit, size=world.positives)
    days = rng.integers(world.days, size=rows)
    common = np.sqrt(world.correlation) * _noise(rng, customers, days)
    arms = []
    for auc in (world.auc, world.auc + world.gain):
        scores = common + np.sqrt(1.0 - world.correlation) * _noise(rng, customers, days)
        scores[: world.positives] += world.lift(auc)
        arms.append(scores)
    return Evidence(
        champion=arms[0],
        candidate=arms[1],
        labels=labels,
        customers=customers,
        days=days,
        champion_age_days=365.0,
        round_number=round_number,
    )


def _noise(
    rng: np.random.Generator, customers: npt.NDArray[np.int64], days: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Unit variance a row, some of it common to the customer and to the day."""
    by_row = rng.standard_normal(len(customers), dtype=np.float32)
    by_customer = rng.standard_normal(int(customers.max()) + 1, dtype=np.float32)
    by_day = rng.standard_normal(int(days.max()) + 1, dtype=np.float32)
    mixed = (
        np.sqrt(SHARES["row"]) * by_row
        + np.sqrt(SHARES["customer"]) * by_customer[customers]
        + np.sqrt(SHARES["day"]) * by_day[days]
    )
    return np.asarray(mixed, dtype=np.float64)


# errors and correlation as measured by `make bench-handbook` for models of two weeks
TWO_KINDS = World(500, 0.02, correlation=0.61, auc=0.9, easy=0.79)


@dataclass(frozen=True)
class Task:
    """Some rounds of one world for one process.

    Attributes:
        years: whether the round number starts again every 52 rounds.
        guarded: whether the guardrails are asked too; a hundred times as slow.
    """

    label: str
    world: World
    rounds: int
    seed: int
    years: bool = False
    guarded: bool = False


def guarded(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """The same rows with amounts, and the slices that the use case makes of such rows."""
    amounts = rng.gamma(2.0, 40.0, size=len(evidence.labels))
    bands = np.searchsorted(np.quantile(amounts, (0.25, 0.5, 0.75)), amounts)
    slices = {f"band {band}": bands == band for band in range(4)}
    slices["newest"] = rng.random(len(amounts)) < NEWEST_SHARE
    return replace(
        evidence,
        amounts=amounts,
        slices=slices,
        champion_alerts=highest(evidence.champion),
        candidate_alerts=highest(evidence.candidate),
    )


def highest(scores: npt.NDArray[np.float64] | None) -> npt.NDArray[np.bool_]:
    """The rows that a model alerts on; `benchmarks/operating.py` is about thresholds."""
    assert scores is not None
    return np.asarray(scores >= np.quantile(scores, 1.0 - ALERT_SHARE), dtype=np.bool_)


def run(task: Task) -> tuple[str, Counter[str]]:
    """Count what each policy promoted, by round, and by year for superiority."""
    rng = np.random.default_rng([task.seed, task.world.positives])
    counts: Counter[str] = Counter(rounds=task.rounds)
    kinds = [PromotionKind.SUPERIORITY] if task.years else list(PromotionKind)
    false_years = set()
    for index in range(task.rounds):
        year, week = divmod(index, ROUNDS_A_YEAR) if task.years else (index, 0)
        evidence = draw(task.world, rng, week + 1)
        if task.guarded:
            verdict = judge(guarded(evidence, rng), SHIPPED[PromotionKind.SUPERIORITY])
            counts["guarded"] += verdict.passed
        for kind in kinds:
            verdict = judge(evidence, BARE[kind])
            if verdict.passed:
                counts[kind] += 1
                false_years.add(year)
        counts["point"] += float(verdict.numbers.get("auc.gain") or 0.0) > 0.0
    counts["years"] = len(false_years) if task.years else 0
    return task.label, counts


def tasks(years: int, rounds: int) -> list[Task]:
    """All simulations, in pieces that keep two processes busy to the end."""
    rare = [
        *(Task(f"worse_{n}", World(n, -0.01), rounds, 11) for n in (25, 100, 500)),
        *(Task("power_500", World(500, 0.02), rounds // 4, 20 + part) for part in range(4)),
        *(Task("equal_500", World(500), rounds // 4, 30 + part) for part in range(2)),
        *(
            Task("power_500_guarded", World(500, 0.02), rounds // 80, 60 + part, guarded=True)
            for part in range(4)
        ),
        Task("power_100", World(100, 0.02), rounds // 2, 40),
        Task("power_500_two_kinds", TWO_KINDS, rounds // 4, 42),
        Task("power_500_7_days", World(500, 0.02, days=7), rounds // 4, 41),
        *(
            Task(f"power_500_correlation_{rho:.2f}", World(500, 0.02, rho), rounds // 4, 50)
            for rho in (0.7, 0.8, 0.95)
        ),
    ]
    pieces = 40
    sizes = [years // pieces + (part < years % pieces) for part in range(pieces)]
    equal = [
        Task("equal", World(100), size * ROUNDS_A_YEAR, 1_000 + part, years=True)
        for part, size in enumerate(sizes)
    ]
    return rare + equal


def totals(found: Sequence[tuple[str, Counter[str]]]) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = {}
    for label, counts in found:
        sums.setdefault(label, Counter()).update(counts)
    return sums


def figures_of(sums: dict[str, Counter[str]], years: int) -> dict[str, float]:
    """Shares of rounds (and of years) that ended in a promotion."""
    figures: dict[str, float] = {
        "years": years,
        "correlation": CORRELATION,
        "equal_years_promoted": sums["equal"]["years"] / years,
    }
    for label, counts in sums.items():
        rounds = counts["rounds"]
        figures[f"{label}_superiority"] = counts[PromotionKind.SUPERIORITY] / rounds
        if label != "equal":
            figures[f"{label}_non_inferiority"] = counts[PromotionKind.NON_INFERIORITY] / rounds
        if counts["guarded"]:
            figures[f"{label}_with_guardrails"] = counts["guarded"] / rounds
        if label != "worse_25":
            figures[f"{label}_by_point_estimate"] = counts["point"] / rounds
    return figures


def bars() -> dict[str, Bar]:
    limits: dict[str, Bar] = {
        "years": (">=", 2_000),
        "equal_years_promoted": ("<=", 0.05),
        "power_500_superiority": (">=", 0.8),
        "power_500_guarded_with_guardrails": (">=", 0.8),
    }
    for positives in (25, 100, 500):
        for kind in PromotionKind:
            limits[f"worse_{positives}_{kind}"] = ("<=", 0.01)
    return limits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=2_000, help="rounds of each other world")
    parser.add_argument("--task-years", type=int, default=1_000, help="of each task's measure")
    parser.add_argument("--task-rounds", type=int, default=400, help="of each power figure")
    parser.add_argument("--metric", choices=TASK_METRICS, help="only this one of the tasks")
    parser.add_argument("--only-tasks", action="store_true", help="leave card fraud's worlds out")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    worlds = [] if options.only_tasks else tasks(options.years, options.rounds)
    metrics = TASK_METRICS if options.metric is None else (options.metric,)
    others = list(task_rounds(metrics, options.task_years, options.task_rounds))
    with ProcessPoolExecutor(options.processes) as pool:
        found = _reported(pool.map(run, worlds), len(worlds))
        of_tasks = _reported(pool.map(run_rounds, others), len(others))
    figures = task_figures(totals(of_tasks), options.task_years)
    sys.stderr.write(f"{power_table(metrics, figures)}\n")
    limits = task_bars(metrics)
    if not options.only_tasks:
        figures = figures_of(totals(found), options.years) | figures
        limits = bars() | limits
    finish("promotion", figures, limits)


def _reported(
    results: Iterator[tuple[str, Counter[str]]], count: int
) -> list[tuple[str, Counter[str]]]:
    found = []
    for done, result in enumerate(results, start=1):
        found.append(result)
        sys.stderr.write(f"{done}/{count} {result[0]}\n")
    return found


if __name__ == "__main__":
    main()
