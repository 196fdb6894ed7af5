"""A use case that reads rows from the history instead of the replay's own tables."""

from typing import Any, cast

import polars as pl
from sqlalchemy import Engine

from shared.usecase.learning import LearningUseCase, Split
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Verdict


class Passing:
    """Passes on what a subclass does not answer itself."""

    def __init__(self, use_case: LearningUseCase) -> None:
        self._inner = use_case

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Historic(Passing):
    def __init__(self, use_case: LearningUseCase, history: Engine) -> None:
        super().__init__(use_case)
        self._history = history

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:  # noqa: ARG002
        return self._inner.snapshot(self._history, as_of_us)

    def check_features(
        self,
        engine: Engine,  # noqa: ARG002
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        return self._inner.check_features(self._history, snapshot, matrix, split, as_of_us)


def historic(use_case: LearningUseCase, history: Engine) -> LearningUseCase:
    """The same use case, reading its rows and served features from this engine only."""
    return cast(LearningUseCase, _Historic(use_case, history))
