"""A use case with a fixed past: rows that happened, and labels that became known a week later.

What makes a row positive changes half-way, so whoever never retrains falls behind.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.usecase.learning import Candidate, Labels, Progress, Split
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Verdict
from tests.scheduler.fakes import NAMES, NOW_US, TinyUseCase

WEEK_US = 7 * MICROS_PER_DAY
START_US = NOW_US - 30 * WEEK_US
TURN_US = NOW_US - 15 * WEEK_US


@dataclass
class Chronicle(TinyUseCase):
    """Learns its weights from the rows by least squares."""

    rows: int = 9_000
    training_seconds: float = 0.0
    corrected: str | None = None

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        everything = self._everything()
        known = pl.col("label_known_at") <= as_of_us
        return everything.filter(pl.col("event_time") <= as_of_us).with_columns(
            label=pl.when(known).then("label"), label_known_at=pl.when(known).then("label_known_at")
        )

    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split:
        age = as_of_us - snapshot["event_time"].to_numpy()
        judged = (age > WEEK_US) & (age <= 3 * WEEK_US)
        learned = (age > 3 * WEEK_US) & (age <= 9 * WEEK_US)
        return Split(np.flatnonzero(learned), np.flatnonzero(judged))

    def check_features(
        self,
        engine: Engine,
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        return Verdict("feature_quality", self.feature_quality, "as told", {"rows": len(matrix)})

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        time.sleep(self.training_seconds)
        weights, *_ = np.linalg.lstsq(matrix, labels - labels.mean(), rcond=None)
        self.weights = tuple(float(weight) * 20 for weight in weights)
        return super().train(matrix, labels, feature_names, seed, progress)

    def _everything(self) -> pl.DataFrame:
        rng = np.random.default_rng(self.seed)
        values = rng.normal(size=(self.rows, 3))
        times = np.sort(rng.integers(START_US, NOW_US, self.rows))
        turned = times >= TURN_US
        telling = np.where(turned, values[:, 2], values[:, 0])
        labels = (2 * telling + rng.normal(size=self.rows) > 2.5).astype(np.int8)
        frame = pl.DataFrame(
            {
                "transaction_id": [f"t{index}" for index in range(self.rows)],
                "user_id": [f"u{index}" for index in rng.integers(0, 300, self.rows)],
                "event_time": times,
                "label": labels,
                "label_known_at": times + WEEK_US,
                **{name: values[:, place] for place, name in enumerate(NAMES)},
            }
        )
        if self.corrected is None:
            return frame
        flipped = pl.when(pl.col("transaction_id") == self.corrected).then(1 - pl.col("label"))
        return frame.with_columns(label=flipped.otherwise("label").cast(pl.Int8))
