"""The error rate of each metric's one-sided bounds; the nominal rate is 5 % of rounds.

Both models are equal, so a lower bound above 0 and an upper bound below 0 are errors, and by
symmetry two chances a round to see one. `make bench-coverage`
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np

from benchmarks.promotion import World, draw
from benchmarks.report import Bar, finish
from scheduler.statistics.compare import METRICS, compare_sample
from scheduler.statistics.measure import MeasurementPlan

ALPHA = 0.05
PIECES = 4
POSITIVES = (100, 500)


def wrong_bounds(metric: str, positives: int, rounds: int, seed: int) -> int:
    """The number of a round's two bounds that exclude the truth."""
    rng = np.random.default_rng([seed, positives])
    plan = MeasurementPlan(resamples=400, daily_alerts=10, cost_per_alert=1.0)
    wrong = 0
    for _ in range(rounds):
        evidence = draw(World(positives), rng)
        amounts = rng.gamma(2.0, 40.0, size=len(evidence.labels))
        found = compare_sample(replace(evidence, amounts=amounts).sample(), metric, ALPHA, plan)
        wrong += (found.lower > 0.0) + (found.upper < 0.0)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400, help="at 100 positives; half at 500")
    rounds = parser.parse_args().rounds
    figures: dict[str, float] = {"alpha": ALPHA, "rounds": float(rounds)}
    bars: dict[str, Bar] = {}
    with ProcessPoolExecutor(2) as pool:
        for metric in METRICS:
            for positives in POSITIVES:
                each = max(1, (rounds if positives == POSITIVES[0] else rounds // 2) // PIECES)
                jobs = [
                    pool.submit(wrong_bounds, metric, positives, each, seed)
                    for seed in range(PIECES)
                ]
                share = sum(job.result() for job in jobs) / (2 * each * PIECES)
                name = f"{metric}_{positives}_wrong_share"
                figures[name] = share
                bars[name] = ("<=", 0.08)
                sys.stderr.write(f"{name}: {share:.4f}\n")
    finish("coverage", figures, bars)


if __name__ == "__main__":
    main()
