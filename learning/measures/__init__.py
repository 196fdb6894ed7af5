"""Evaluation metrics for every task; pure, numpy only."""

from learning.measures.catalogue import (
    default_measure,
    known_measures,
    loss_metric,
    measure_named,
    point_values,
    row_losses,
    shown_measures,
)
from learning.measures.measure import Measure, Measured
from shared.tasks.metrics import Margin

__all__ = [
    "Margin",
    "Measure",
    "Measured",
    "default_measure",
    "known_measures",
    "loss_metric",
    "measure_named",
    "point_values",
    "row_losses",
    "shown_measures",
]
