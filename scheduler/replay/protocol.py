"""The Handbook's protocol as a split: a week to learn, a week of delay, a week to be judged.

The book of Le Borgne et al. (its figures are in understudy/replay.py) learns from seven days,
leaves seven for the labels to arrive, and tests on the seven after them. Customers known to be
compromised leave the test: those with a positive among the training days, or one known by the test
day minus the delay. A round as of an instant takes the newest test week of which every label is
known, so a weekly replay is the book's prequential validation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine

from shared.clock import MICROS_PER_DAY
from shared.errors import TrainingFailed
from shared.usecase.learning import LearningUseCase, Split
from shared.usecase.rows import LABEL, TIME
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


# Published results of a protocol, shown beside the replay's own.


@dataclass(frozen=True, slots=True)
class Published:
    """Rows of a table: model -> metric -> value."""

    source: str
    metrics: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]


WEEK_DAYS = 7
Mask = npt.NDArray[np.bool_]


class _Handbook(Passing):
    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split:
        return handbook_split(snapshot, as_of_us, self._inner.columns.entity)


def handbook(use_case: LearningUseCase) -> LearningUseCase:
    """The same use case, learning and judging as the Handbook does."""
    return cast(LearningUseCase, _Handbook(use_case))


def handbook_split(snapshot: pl.DataFrame, as_of_us: int, entity: str | None) -> Split:
    """Training week, delay week, test week, delay week, then `as_of_us`.

    Raises:
        TrainingFailed: one of the two weeks has no labelled row.
    """
    today = as_of_us // MICROS_PER_DAY
    test_day = today - 2 * WEEK_DAYS
    train_day = test_day - 2 * WEEK_DAYS
    day = snapshot[TIME].to_numpy() // MICROS_PER_DAY
    labelled = snapshot[LABEL].is_not_null().to_numpy()
    train = labelled & (day >= train_day) & (day < train_day + WEEK_DAYS)
    test = labelled & (day >= test_day) & (day < test_day + WEEK_DAYS)
    if entity is not None:
        test &= ~_known_compromised(snapshot, entity, day, train_day)
    if not train.any() or not test.any():
        raise TrainingFailed(
            f"split: {train.sum()} rows in the training week, {test.sum()} in the test week"
        )
    return Split(np.flatnonzero(train), np.flatnonzero(test))


def _known_compromised(
    snapshot: pl.DataFrame, entity: str, day: npt.NDArray[np.int64], train_day: int
) -> Mask:
    """Rows of customers with a positive since the training began, a delay before the row."""
    rows = pl.DataFrame({"user": snapshot[entity], "day": day})
    positive = snapshot[LABEL].fill_null(0).to_numpy() == 1
    first = (
        rows.filter(positive & (day >= train_day)).group_by("user").agg(first=pl.col("day").min())
    )
    known = rows.join(first, on="user", how="left", maintain_order="left")
    is_known = known.select((pl.col("first") < pl.col("day") - WEEK_DAYS).fill_null(value=False))
    found: Mask = is_known.to_series().to_numpy()
    return found
