"""The half of a use case that the retraining service loads: rows -> candidate -> metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine, FromClause

from shared.bundle.manifest import Flavour
from shared.tasks import Task
from shared.usecase.policy import PromotionPolicy
from shared.usecase.rows import RowColumns
from shared.usecase.serving import FeatureSet, FloatMatrix
from shared.verdicts import Verdict

Progress = Callable[[str, float], None]
"""Called with what is being done and the share done, in [0, 1]."""

Labels = npt.NDArray[Any]
"""One number a row (a class's position, a value), or one a row and item for a ranking."""

CHOSEN = "chosen"
"""The member of `hyperparameters` with the values that a training selected, and why.

It may differ from run to run; the other members make the recipe."""


BASELINES = "baselines/"
"""The folder of a bundle with graphs of baselines: simple models that a candidate has to beat."""


def baseline_path(name: str) -> str:
    return f"{BASELINES}{name}.onnx"


@dataclass(frozen=True, slots=True)
class Split:
    """Row positions of one snapshot: learn from the past, judge on the later past.

    Between them lies the label delay, so that no label used in training became known
    inside the held-out window's features, and none in the window is still unknown.

    Attributes:
        is_by_time: False where rows have no time: entities are held out, always the same ones.
    """

    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    is_by_time: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model as files of a bundle, with what the manifest says of it.

    Attributes:
        files: path inside the bundle -> bytes; `model.onnx` is the graph that is served,
            input `features` (N, F) float32, output `scores` (N, len(components)) float32.
        flavour: `cloudpickle` for a model that is not a graph: `model.pkl` then holds an object
            that is called with such a matrix and answers such scores. Both services take it
            only where ALLOW_PICKLE_MODELS is on.
    """

    files: Mapping[str, bytes]
    components: tuple[str, ...]
    feature_names: tuple[str, ...]
    feature_set_version: str
    thresholds: Mapping[str, float]
    hyperparameters: Mapping[str, Any]
    frameworks: Mapping[str, str]
    flavour: Flavour = "onnx"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A snapshot without its few wrong rows.

    Attributes:
        kept: the rows to learn from; the snapshot itself where too many rows are wrong.
        faults: how many rows have which fault, by its name; a row may have several.
        rows: number of rows left out.
    """

    kept: pl.DataFrame
    faults: Mapping[str, int]
    rows: int


class LearningUseCase(Protocol):
    """Everything the retraining service needs to know about the use case."""

    @property
    def name(self) -> str: ...

    @property
    def schema_version(self) -> int: ...

    @property
    def feature_set(self) -> FeatureSet: ...

    @property
    def task(self) -> Task:
        """The kind of prediction."""
        ...

    @property
    def policy(self) -> PromotionPolicy: ...

    @property
    def columns(self) -> RowColumns:
        """The columns of a snapshot that say whose row it is, and what is at stake."""
        ...

    @property
    def served(self) -> FromClause:
        """Rows that the API scored, as a table: a row's own columns, its label, its decision."""
        ...

    def newest_row_us(self, engine: Engine) -> int | None:
        """The newest event time of all stored rows; None where there is no row.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        """Rows of both logs, deduplicated, with labels known at `as_of_us` only.

        Includes unlabelled rows: they belong to windows, not to targets.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...

    def quarantine(self, snapshot: pl.DataFrame, as_of_us: int) -> Quarantine:
        """Set single wrong rows aside, as long as they are few; many are a fault of the data."""
        ...

    def check_quality(self, snapshot: pl.DataFrame, as_of_us: int) -> Verdict: ...

    def features(self, snapshot: pl.DataFrame) -> FloatMatrix:
        """All features of the set for every row, (rows, len(names)), in snapshot order."""
        ...

    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split: ...

    def check_features(
        self,
        engine: Engine,
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        """The second look at the data, once there are features and a split: leaks and skew.

        `engine` is for what the snapshot does not hold: features as they were served.
        """
        ...

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        """Train every component on the given columns and export them.

        Raises:
            TrainingFailed: says at which component and why.
        """
        ...

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        """One number a row out of the component scores: what drift and canaries look at."""
        ...

    def alerts(
        self, scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
    ) -> npt.NDArray[np.bool_]:
        """The rows that a model with these thresholds does not simply let through.

        `scores` has a column a component. It says of every row what the serving half says of it:
        the candidate and the champion are compared by what people would have to examine.
        """
        ...

    def metrics(
        self, scores: npt.NDArray[np.float64], labels: Labels, held_out: pl.DataFrame
    ) -> Mapping[str, float]:
        """Point estimates for the manifest; NaN where a metric is undefined.

        `scores` is the headline of a binary task, else the task's own outputs.
        """
        ...

    def slices(
        self, held_out: pl.DataFrame, features: FloatMatrix
    ) -> Mapping[str, npt.NDArray[np.bool_]]:
        """Parts of the held-out rows on which a candidate must do no harm, by name.

        `features` holds all features of the set, in the order of `held_out`. A part that is
        empty, or has one class only, keeps every candidate from being promoted: make parts
        that can be measured.
        """
        ...
