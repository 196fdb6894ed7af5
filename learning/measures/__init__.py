"""What a model is judged by, for every task; pure, numpy only."""

from learning.measures.catalogue import (
    default_measure,
    known_measures,
    measure_named,
    point_values,
)
from learning.measures.margin import Margin
from learning.measures.measure import Measure, Measured

__all__ = [
    "Margin",
    "Measure",
    "Measured",
    "default_measure",
    "known_measures",
    "measure_named",
    "point_values",
]
