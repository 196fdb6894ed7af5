"""The scheduler's real main loop around the tiny use case; started as a process by tests.

`TRAINING_HANGS=1`: training never returns, as compiled code that cannot be interrupted.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.main import run
from scheduler.settings import load_settings
from shared.logs import configure_logging
from shared.usecase.learning import Candidate, Labels, Progress
from shared.usecase.serving import FloatMatrix
from tests.scheduler.fakes import TinyUseCase


@dataclass
class HangingUseCase(TinyUseCase):
    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        time.sleep(600)
        return super().train(matrix, labels, feature_names, seed, progress)


if __name__ == "__main__":
    settings = load_settings()
    configure_logging("scheduler", settings.log_level, settings.log_format, settings.log_file)
    run(settings, HangingUseCase() if os.environ.get("TRAINING_HANGS") else TinyUseCase())
