"""The child process of the scheduler around the tiny use case, with faults on demand.

`TRAINING=hangs`: it never returns, as compiled code that cannot be interrupted;
`TRAINING=grows`: it takes ever more memory; `TRAINING=dies`: the first attempt kills its own
process; `SCORING=dies`: the first attempt does so after training. `MARKS`: where it is
written down what was computed. `POLICY=eager`: whatever is no worse is promoted.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine

from scheduler.child import carry_out
from scheduler.settings import load_settings
from shared.logs import configure_logging
from shared.usecase.learning import Candidate, Labels, Progress
from shared.usecase.policy import PromotionPolicy
from shared.usecase.serving import FloatMatrix
from tests.scheduler.fakes import POLICY, TinyUseCase

MIB = 2**20


@dataclass
class FaultyUseCase(TinyUseCase):
    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        mark("snapshot")
        return super().snapshot(engine, as_of_us)

    def features(self, snapshot: pl.DataFrame) -> FloatMatrix:
        mark("features")
        return super().features(snapshot)

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        is_first = mark("train") == 1
        match os.environ.get("TRAINING"):
            case "hangs":
                while True:
                    time.sleep(600)
            case "grows":
                grow()
            case "dies" if is_first:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().train(matrix, labels, feature_names, seed, progress)

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        if os.environ.get("SCORING") == "dies" and mark("score") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().headline(scores)


def policy() -> PromotionPolicy:
    if os.environ.get("POLICY") != "eager":
        return POLICY
    return replace(POLICY, champion_max_age_days=1e-9, resamples=100)


def mark(what: str) -> int:
    """Write down that something was done; returns how often it was."""
    path = Path(os.environ.get("MARKS", os.devnull))
    with path.open("a") as file:
        file.write(f"{what}\n")
    return path.read_text().split().count(what)


def grow() -> None:
    taken = []
    while True:
        taken.append(np.ones(32 * MIB, dtype=np.uint8))
        time.sleep(0.05)


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(
        "scheduler", settings.log_level, settings.log_format, settings.log_file, settings.log_limits
    )
    sys.exit(carry_out(settings, FaultyUseCase(policy=policy()), sys.argv[1:]))
