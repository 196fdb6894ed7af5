"""Rollouts of simulated traffic, decided by the shipped driver's own judgement: `make bench-canary`

Users differ: each has an alert rate, a score level and its own speed, and some send many
rows. Rows are counted by the API's own tally, turned into figures by its own arithmetic, and
judged by the scheduler's own stage decision, look after look.
"""

import argparse
import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api.rollout.arm_counts import GROUPS, LATENCY_CAP_MS, SCORE_EDGES, ArmCounts
from api.rollout.arm_statistics import arm_statistics
from api.rollout.canary import BUCKETS, Splitter, limit_of
from benchmarks.report import Bar, finish
from scheduler.rollout.look import look_from
from scheduler.rollout.sequential import mean_differs
from scheduler.rollout.stage import RolloutPolicy, StageAction, judge_stage
from shared.contracts.rollouts import SHARES, Mode, RolloutArms, RolloutView, RolloutWorkers

LOOKS = 60
USERS = 20_000
SPLIT_USERS = 100_000
POLICY = RolloutPolicy(stage_minimum_seconds=0.0, stage_minimum_requests=10**9)
# No tolerance: measures the false alarms of the tests themselves.
STRICT = RolloutPolicy(
    stage_minimum_seconds=0.0,
    stage_minimum_requests=10**9,
    alert_rate_tolerated=0.0,
    alert_points_tolerated=0.0,
    latency_tolerated=0.0,
    latency_ms_tolerated=0.0,
    scores_tolerated=0.0,
)
BARS: dict[str, Bar] = {
    "equal_arms_rolled_back": ("<=", 0.05),
    "errors_rolled_back_in_5_looks": (">=", 0.95),
    "split_error_points": ("<=", 0.5),
    "flip_backs": ("==", 0),
    "sequential_false_alarms": ("<=", 0.05),
}
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class World:
    """Traffic of both arms.

    Attributes:
        rows: of both arms, at each look.
        errors: share of the candidate's rows that fail.
    """

    rows: int
    errors: float = 0.0


class Users:
    """The users, and the distribution of their rows."""

    def __init__(self, rng: np.random.Generator) -> None:
        activity = rng.pareto(1.5, USERS) + 0.1
        self.activity = activity / activity.sum()
        self.alert_rate = rng.beta(0.5, 9.5, USERS)
        self.level = rng.normal(-4.0, 1.5, USERS)
        self.speed = rng.normal(math.log(1.5), 0.2, USERS)
        self.group = rng.integers(GROUPS, size=USERS)
        self.bucket = rng.integers(BUCKETS, size=USERS)


class Arm:
    """One arm's tally, filled row by row in bulk."""

    def __init__(self) -> None:
        self.tally = ArmCounts()
        self.users: set[int] = set()

    def add(self, users: Users, who: Indices, errors: float, rng: np.random.Generator) -> None:
        self.users.update(who.tolist())
        failed = rng.random(len(who)) < errors
        self.tally.errors += int(failed.sum())
        who = who[~failed]
        alerts = rng.random(len(who)) < users.alert_rate[who]
        scores = 1.0 / (1.0 + np.exp(-(users.level[who] + rng.normal(0, 1, len(who)))))
        slow = rng.random(len(who)) < 0.01
        took = np.exp(users.speed[who] + rng.normal(0, 0.5, len(who))) * np.where(slow, 20.0, 1.0)
        self._count(users.group[who], alerts, scores, np.minimum(took, LATENCY_CAP_MS))

    def _count(
        self, groups: Indices, alerts: npt.NDArray[np.bool_], scores: Floats, took: Floats
    ) -> None:
        tally, width = self.tally, len(SCORE_EDGES) + 1
        bins = groups * width + np.searchsorted(SCORE_EDGES, scores, side="right")
        other = ArmCounts(
            rows=np.bincount(groups, minlength=GROUPS).tolist(),
            alerts=np.bincount(groups, alerts, GROUPS).astype(int).tolist(),
            bins=np.bincount(bins, minlength=GROUPS * width).tolist(),
            timed=np.bincount(groups, minlength=GROUPS).tolist(),
            latency_ms=np.bincount(groups, took, GROUPS).tolist(),
            latency_squares=float(took @ took),
        )
        tally.add(other)


@dataclass(frozen=True, slots=True)
class Task:
    """Some rollouts of one world for one process."""

    label: str
    world: World
    share: int
    policy: RolloutPolicy
    looks: int
    rollouts: int
    seed: int


def run(task: Task) -> tuple[str, Counter[str]]:
    """The number of rolled back rollouts, by reason."""
    rng = np.random.default_rng([task.seed, task.share])
    counts: Counter[str] = Counter(rollouts=task.rollouts)
    for _ in range(task.rollouts):
        code = stage(task, rng)
        if code is not None:
            counts["rolled_back"] += 1
            counts[code] += 1
    return task.label, counts


def stage(task: Task, rng: np.random.Generator) -> str | None:
    """The code of the roll-back, if one of the looks asks for it."""
    users, candidate, champion = Users(rng), Arm(), Arm()
    inside = users.bucket < limit_of(task.share)
    for _ in range(task.looks):
        who = rng.choice(USERS, task.world.rows, p=users.activity)
        candidate.add(users, who[inside[who]], task.world.errors, rng)
        champion.add(users, who[~inside[who]], 0.0, rng)
        decision = judge_stage(look_from(shown(task.share, candidate, champion)), task.policy)
        if decision.step is StageAction.ROLL_BACK:
            return decision.code
    return None


def shown(share: int, candidate: Arm, champion: Arm) -> RolloutView:
    """The answer of GET /current_model."""
    arms = RolloutArms(
        candidate=arm_statistics(candidate.tally, len(candidate.users)),
        champion=arm_statistics(champion.tally, len(champion.users)),
    )
    return RolloutView(
        mode=Mode.CANARY,
        version="1.0.1",
        champion="1.0.0",
        share_percent=share,
        shares=list(SHARES),
        next_share=None,
        began_at="",
        stage_since="",
        stage_seconds=0.0,
        begun_by="benchmark",
        arms=arms,
        shadow=None,
        workers=RolloutWorkers(following=1, total=1, troubles={}),
    )


def tasks(rollouts: int) -> list[Task]:
    """A rollout of equal arms is four stages; each stage is its own task."""
    found = []
    for part, share in enumerate(SHARES):
        for name, policy in (("equal", POLICY), ("strict", STRICT)):
            task = Task(f"{name}_{share}", World(2_000), share, policy, LOOKS, rollouts, 10 + part)
            found.append(task)
    # 100 canary rows a look; at 50 % the champion has as few, which is the hardest case.
    for share in (5, 50):
        world = World(100 * 100 // share, errors=0.05)
        found.append(Task(f"errors_{share}", world, share, POLICY, 5, 10 * rollouts, 30))
    return found


def rolled_back(counts: Counter[str]) -> float:
    return counts["rolled_back"] / counts["rollouts"]


def whole_rollout(sums: dict[str, Counter[str]], name: str) -> float:
    """The chance that any of the four stages is rolled back."""
    passed = math.prod(1.0 - rolled_back(sums[f"{name}_{share}"]) for share in SHARES)
    return 1.0 - passed


def split() -> dict[str, float]:
    """Shares as they come out for real names, and users who ever leave a growing canary."""
    worst, flips = 0.0, 0
    splitter = Splitter("benchmark")
    buckets = [splitter.place(f"user-{number}").bucket for number in range(SPLIT_USERS)]
    before: set[int] = set()
    for share in SHARES:
        inside = {at for at, bucket in enumerate(buckets) if bucket < limit_of(share)}
        worst = max(worst, abs(100 * len(inside) / SPLIT_USERS - share))
        flips += len(before - inside)
        before = inside
    return {"split_error_points": round(worst, 3), "flip_backs": flips}


def peeking(runs: int) -> dict[str, float]:
    """One comparison of two equal means, examined 60 times: both kinds of test."""
    rng = np.random.default_rng(7)
    sums = rng.normal(size=(2, runs, LOOKS)).cumsum(axis=2) * math.sqrt(100)
    rows = 100.0 * np.arange(1, LOOKS + 1)
    differences, variances = (sums[0] - sums[1]) / rows, 2.0 / rows
    fixed = (np.abs(differences) > 1.96 * np.sqrt(variances)).any(axis=1).mean()
    sequential = np.mean(
        [
            any(mean_differs(d, 0.0, v, 0.1) <= 0.05 for d, v in zip(run, variances, strict=True))
            for run in differences
        ]
    )
    return {
        "peeked_false_alarms": round(float(fixed), 4),
        "sequential_false_alarms": round(float(sequential), 4),
    }


def figures(found: Sequence[tuple[str, Counter[str]]], rollouts: int) -> dict[str, float]:
    sums = dict(found)
    told = {f"{label}_rolled_back": round(rolled_back(sums[label]), 4) for label in sums}
    for label, counts in sums.items():
        sys.stderr.write(f"{label}: {dict(counts)}\n")
    fewest = min(rolled_back(sums[f"errors_{share}"]) for share in (5, 50))
    return {
        "rollouts": rollouts,
        "equal_arms_rolled_back": round(whole_rollout(sums, "equal"), 4),
        "equal_arms_rolled_back_nothing_tolerated": round(whole_rollout(sums, "strict"), 4),
        "errors_rolled_back_in_5_looks": round(fewest, 4),
        **told,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        found = list(pool.map(run, tasks(options.rollouts)))
    told = figures(found, options.rollouts) | split() | peeking(2_000)
    finish("canary", told, BARS)


if __name__ == "__main__":
    main()
