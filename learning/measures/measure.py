"""A measure: one number for a model on rows, and what every row adds to its error.

Larger is better for every measure: losses are negative. The influence of a row is, to first
order, what the value would change by if the row weighed a little more; the sum of its squares
over independent rows is the value's variance, and the sum over clusters of its squared totals
is the variance where rows of a cluster depend on each other. For a mean that is the textbook
error of a mean; for a function of means (RMSE, R2, macro-F1) it is the delta method.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.tasks import TaskKind

Floats = npt.NDArray[np.float64]

RowGain = Callable[[Floats, Floats], Floats]
"""Predictions and labels -> one number a row, larger is better; NaN: no information."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A value, and every row's share of its error; None where resampling is required."""

    value: float
    influence: Floats | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure.

    Attributes:
        is_loss: people see it without its minus sign, and less of it is better.
        bounds: the values that are possible.
        row_gain: of a mean, the number of each row; None: it is no mean over rows.
        of: predictions (rows,) or (rows, outputs) and labels of the same rows -> the value.
    """

    name: str
    tasks: frozenset[TaskKind]
    is_loss: bool
    bounds: tuple[float, float]
    of: Callable[[Floats, Floats], Measured]
    row_gain: RowGain | None = None

    def shown(self, value: float) -> float:
        """The value as people know it."""
        return -value if self.is_loss else value

    def from_shown(self, value: float) -> float:
        """The value of what people wrote down, a floor for instance."""
        return -value if self.is_loss else value


def mean_gain(row_gain: RowGain) -> Callable[[Floats, Floats], Measured]:
    """The mean of one number a row, over the rows that have one."""

    def of(predictions: Floats, labels: Floats) -> Measured:
        return mean_with_influence(row_gain(predictions, labels))

    return of


def mean_with_influence(gains: Floats) -> Measured:
    """The mean of what is not NaN; a row that says nothing has no influence."""
    known = ~np.isnan(gains)
    count = int(np.count_nonzero(known))
    if count == 0:
        return Measured(float("nan"), np.zeros(len(gains)))
    value = float(gains[known].mean())
    return Measured(value, np.where(known, gains - value, 0.0) / count)
