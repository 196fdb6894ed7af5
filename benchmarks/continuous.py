"""The value of continuous training in a changing world, and the cost of the gate there.

Ten simulated worlds change three times (benchmarks/continuous_world.py). Each is replayed week
by week with the real cycle: drift check, data gates, training, bundle, comparison, decision,
under the shipped policy. Three policies serve from the same candidates; each week is scored by
labels that became known later. The recipe is the shipped one with fewer trees and steps: the
gate is measured here, not the model.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks.continuous_world import Story, day_us, write_story
from benchmarks.report import finish
from scheduler.replay.history import connect_read_only
from scheduler.replay.plan import Policy, ReplaySpan, plan_spans, promotions
from scheduler.replay.record import Asked, Round
from scheduler.replay.replay import replay
from scheduler.replay.summary import mean
from shared.intervals import Interval
from shared.tables.engine import connect, migrate
from shared.usecase.learning import Candidate, Labels, Progress
from shared.usecase.serving import FloatMatrix
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.learning import FraudLearning
from usecases.fraud.training.candidate import FraudTrainingRequest, train_candidate
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.recipe import (
    AutoencoderRecipe,
    BoostingRecipe,
    ClassifierRecipe,
    ForestRecipe,
    FraudRecipe,
    IsolationForestRecipe,
    RowDraw,
)

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
FIRST_DAY, LAST_DAY = 117, 216
"""The first round is three days before the first change, and learns from up to 89 days; the
last leaves two weeks to judge."""

METRIC = "average_precision"
LATENCY_BUDGET_MS = 50.0
"""Ten times the shipped one: a busy machine is not a property of a policy."""

SMALL_ROWS = RowDraw(
    max_positives=4_000, negatives_per_positive=50, min_negatives=10_000, max_negatives=15_000
)
SMALL_BLEND = ClassifierRecipe(
    newest_share=1.0,
    forest_share=0.6,
    forest=ForestRecipe(trees=20, min_samples_leaf=10, max_features=0.5, rows=SMALL_ROWS),
    boosting=BoostingRecipe(trees=50, learning_rate=0.15, max_leaves=15, l2=1.0, rows=SMALL_ROWS),
)
SMALL_RECIPE = FraudRecipe(
    classifier=read_policy().classifier.model_copy(
        update={"baseline": "small", "candidates": {"small": SMALL_BLEND}}
    ),
    isolation_forest=IsolationForestRecipe(trees=10),
    autoencoder=AutoencoderRecipe(steps=50),
)
BARS = {
    "lead_over_never": (">=", 0.05),
    "worst_lead_over_always": (">=", -0.01),
}


class SmallRecipe(FraudLearning):
    """The use case as it ships, but for the size of its models."""

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        ask = FraudTrainingRequest(
            matrix=matrix,
            labels=labels,
            feature_names=tuple(feature_names),
            feature_set_version=FEATURE_SET.version,
            thresholds=read_policy().thresholds,
            seed=seed,
            recipe=SMALL_RECIPE,
        )
        return train_candidate(ask, progress)


@dataclass
class Teller:
    """Writes a line a round to standard error."""

    seed: int
    played: list[Round] = field(default_factory=list)

    def reading(self) -> None:
        pass

    def planned(self, folder: Path, finished: Sequence[Round], total: int) -> None:
        pass

    def step(self, span: ReplaySpan, what: str) -> None:
        pass

    def ended(self, record: Round) -> None:
        shown = " ".join(f"{record.scored(policy).get(METRIC) or 0:.3f}" for policy in Policy)
        alarm = "drift" if record.drifted else "-"
        sys.stderr.write(
            f"seed {self.seed} round {record.span.number:2d} {shown} {alarm:5s} "
            f"{record.run['statuscode']}: {record.reason[:90]}\n"
        )


@dataclass(frozen=True)
class Outcome:
    """One world."""

    seed: int
    means: dict[Policy, float]
    promotions: int
    weeks: int
    cpu_seconds: float


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seeds", type=int, default=10)
    asked.add_argument("--processes", type=int, default=1)
    options = asked.parse_args()
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        outcomes = list(pool.imap(measure, range(1, options.seeds + 1)))
    for each in outcomes:
        means = ", ".join(f"{policy.value} {value:.4f}" for policy, value in each.means.items())
        sys.stderr.write(f"seed {each.seed}: {means}, {each.promotions} promotions\n")
    finish("continuous", figures(outcomes), BARS)


def measure(seed: int) -> Outcome:
    """Write a world, replay it, forget it."""
    # in a process pool scikit-learn has one job, and warns each time
    warnings.filterwarnings("ignore", message="Loky-backed parallel loops")
    started = time.process_time()
    story = Story()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/world.db"
        engine = connect(url)
        migrate(engine)
        write_story(engine, seed, NOW_US, story)
        engine.dispose()
        rounds = play(url, Path(folder), story, seed)
    return Outcome(
        seed=seed,
        means={policy: mean(rounds, policy, METRIC).value or 0.0 for policy in Policy},
        promotions=promotions([record.outcome for record in rounds])[Policy.GATE],
        weeks=mean(rounds, Policy.GATE, METRIC).weeks,
        cpu_seconds=time.process_time() - started,
    )


def play(url: str, folder: Path, story: Story, seed: int) -> list[Round]:
    history = connect_read_only(url)
    asked = Asked(
        use_case=SmallRecipe(),
        history=history,
        spans=plan_spans(
            Interval.parse("1W"),
            day_us(story, NOW_US, FIRST_DAY),
            day_us(story, NOW_US, LAST_DAY),
        ),
        known_us=NOW_US,
        work=folder / "replay",
        seed=seed,
        latency_budget_ms=LATENCY_BUDGET_MS,
    )
    try:
        return replay(asked, Teller(seed))
    finally:
        history.dispose()


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    over_never = [each.means[Policy.GATE] - each.means[Policy.NEVER] for each in outcomes]
    over_always = [each.means[Policy.GATE] - each.means[Policy.ALWAYS] for each in outcomes]
    return {
        "seeds": len(outcomes),
        "weeks": min(each.weeks for each in outcomes),
        "never": round(fmean(each.means[Policy.NEVER] for each in outcomes), 4),
        "always": round(fmean(each.means[Policy.ALWAYS] for each in outcomes), 4),
        "gate": round(fmean(each.means[Policy.GATE] for each in outcomes), 4),
        "lead_over_never": round(fmean(over_never), 4),
        "worst_lead_over_never": round(min(over_never), 4),
        "lead_over_always": round(fmean(over_always), 4),
        "worst_lead_over_always": round(min(over_always), 4),
        "promotions_a_seed": round(fmean(each.promotions for each in outcomes), 1),
        "cpu_seconds": round(sum(each.cpu_seconds for each in outcomes), 1),
    }


if __name__ == "__main__":
    main()
