"""The inputs of the feature checks: the matrix, the split, and the served vectors."""

from dataclasses import dataclass

import polars as pl

from learning.dataset.scanned import Snapshot
from shared.usecase.learning import Split
from shared.usecase.serving import FloatMatrix

from ..policy import QualityPolicy
from .served import Served


@dataclass(frozen=True, slots=True)
class FeatureContext:
    """Everything but the snapshot; `matrix` has its rows in the order of the snapshot.

    Attributes:
        categories: names of the features that are codes of words.
    """

    policy: QualityPolicy
    names: tuple[str, ...]
    matrix: FloatMatrix
    split: Split
    served: Served
    categories: frozenset[str] = frozenset()

    def label_of(self, snapshot: Snapshot) -> pl.Series:
        """Labels of the rows that are learned from."""
        return snapshot["label"].gather(self.split.train)
