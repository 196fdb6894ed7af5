"""Examples: the snapshot's rows as features and labels, split into past and later past."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.mapped import (
    ROWS_PER_PASS,
    Ints,
    map_matrix,
    passes,
    release_pages,
    write_columns,
)
from learning.dataset.scanned import Snapshot, rows_at
from scheduler.cycle.context import CycleContext
from scheduler.cycle.steps import StepLog
from scheduler.drift.column_baseline import MAX_ROWS
from scheduler.step_cache import MatrixSerializer, frame_digest
from shared.bundle.manifest import TrainingData
from shared.clock import MICROS_PER_DAY, to_datetime
from shared.errors import DataUnavailable
from shared.tables.config import enabled_features
from shared.tasks import Task, TaskKind
from shared.usecase.learning import Labels, Split
from shared.usecase.rows import LABEL, LABEL_KNOWN_AT, TIME, RowColumns
from shared.usecase.serving import FloatMatrix

BINARY = Task.binary()


class NotEnoughHistory(DataUnavailable):
    """Raised when there is too little to learn from; trying again at once would not help."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The training rows and the held-out rows of one run.

    Attributes:
        feature_names: the features that are switched on; columns of `train_matrix`.
        train_rows: evenly spaced training rows as they were stored (see `thinned_step`).
        held_out_matrix: all features of the set, since a champion may use others.
        held_out: the held-out rows of the snapshot, in the same order.
        held_out_file: of a history in files, the file that `held_out_matrix` is mapped from.
        columns: the names of its entity, time and amount columns.
        is_by_time: whether the held-out rows are later than those that are learned from.
    """

    feature_names: tuple[str, ...]
    all_names: tuple[str, ...]
    train_matrix: FloatMatrix
    train_labels: Labels
    train_rows: pl.DataFrame
    training_data: TrainingData
    held_out_matrix: FloatMatrix
    held_out_labels: Labels
    held_out: pl.DataFrame
    columns: RowColumns
    task: Task = BINARY
    is_by_time: bool = True
    held_out_file: "HeldOutFeatures | None" = None

    def held_out_columns(
        self, names: Sequence[str], rows: npt.NDArray[np.int64] | None = None
    ) -> FloatMatrix:
        """The held-out rows, or some of them, as a model with these feature names wants them."""
        return _columns(self.held_out_matrix, self.all_names, names, rows)

    @property
    def held_out_positives(self) -> int:
        """The number of held-out positives of a binary task; 0 for others."""
        if self.task.kind is not TaskKind.BINARY:
            return 0
        return int(np.count_nonzero(self.held_out_labels))

    def customers(self) -> npt.NDArray[np.int64] | None:
        """A number for the entity of every held-out row; None where each stands alone."""
        entity = self.columns.entity
        if entity is None or entity not in self.held_out.columns:
            return None
        known = self.held_out[entity].rank("dense").cast(pl.Int64)
        # a row without an entity is independent of all others
        alone = pl.int_range(self.held_out.height, eager=True) + self.held_out.height + 1
        return known.fill_null(alone).to_numpy()

    def days(self) -> npt.NDArray[np.int64]:
        """The UTC day of every held-out row."""
        days: npt.NDArray[np.int64] = self.held_out[TIME].to_numpy() // MICROS_PER_DAY
        return days

    def amounts(self) -> npt.NDArray[np.float64] | None:
        """The amount of every held-out row, where rows have amounts."""
        stake = self.columns.stake
        if stake is None or stake not in self.held_out.columns:
            return None
        return self.held_out[stake].cast(pl.Float64).to_numpy()


@dataclass(frozen=True, slots=True)
class HeldOutFeatures:
    """A file with all features of the held-out rows, in a folder that outlives the snapshot."""

    path: Path
    place: Workplace

    @classmethod
    def write(cls, place: Workplace, matrix: FloatMatrix, rows: Ints) -> "HeldOutFeatures":
        path = place.folder / "held_out.f32"
        write_columns(path, matrix, rows, range(matrix.shape[1]))
        return cls(path, place)

    def mapped(self, width: int) -> FloatMatrix:
        return map_matrix(self.path, width)


@dataclass(frozen=True, slots=True)
class Material:
    """Features of every row of a snapshot, and its split; examples are cut from it.

    Attributes:
        feature_names: the features that are switched on; `matrix` has all of the set.
    """

    feature_names: tuple[str, ...]
    matrix: FloatMatrix
    split: Split
    task: Task = BINARY


def gather_material(
    context: CycleContext, steps: StepLog, snapshot: pl.DataFrame, as_of_us: int
) -> Material:
    """Features of every row, then the split.

    Raises:
        NotEnoughHistory: one side of the split is empty, or every feature is switched off.
    """
    with steps.step("features") as note:
        names = features_in_use(context)
        feature_set = context.use_case.feature_set
        matrix = context.once(
            note,
            "features",
            {"rows": frame_digest(snapshot), "set": feature_set.version, "of": feature_set.names},
            MatrixSerializer(),
            lambda: context.use_case.features(snapshot),
        )
        note.rows, note.details = len(matrix), {"features": len(names)}
    split = split_step(steps, lambda: context.use_case.split(snapshot, as_of_us))
    return Material(names, matrix, split, context.use_case.task)


def features_in_use(context: CycleContext) -> tuple[str, ...]:
    """The features that are switched on.

    Raises:
        NotEnoughHistory: none is.
    """
    names = enabled_features(context.engine, context.use_case.feature_set)
    if not names:
        raise NotEnoughHistory("FeaturesConfig switches every feature off")
    return names


def split_step(steps: StepLog, make: Callable[[], Split]) -> Split:
    """The split as a step of the run.

    Raises:
        NotEnoughHistory: one of its sides is empty.
    """
    with steps.step("split") as note:
        split = make()
        if len(split.train) == 0 or len(split.held_out) == 0:
            raise NotEnoughHistory(
                f"not enough labelled history: {len(split.train)} rows to learn from, "
                f"{len(split.held_out)} to judge on"
            )
        note.rows = len(split.train)
        note.details = {"held_out_rows": len(split.held_out)}
    return split


def build_examples(
    snapshot: Snapshot,
    material: Material,
    all_names: tuple[str, ...],
    columns: RowColumns,
    kept_in: Workplace | None = None,
) -> Examples:
    """Copies of what is needed, so that snapshot and matrix can be let go.

    Features are mapped from files of `kept_in`, where it is given.
    """
    split, names = material.split, material.feature_names
    train_matrix = _train_matrix(material, all_names, kept_in)
    # all columns for the held-out part only: copying those of a million training rows is useless
    train = rows_at(snapshot, split.train, (columns.row_id, TIME, LABEL))
    if kept_in is None:
        held_out_file, wanted = None, None
        held_out_matrix = np.ascontiguousarray(material.matrix[split.held_out])
    else:
        held_out_file = HeldOutFeatures.write(kept_in, material.matrix, split.held_out)
        held_out_matrix = held_out_file.mapped(len(all_names))
        wanted = _judged_columns(snapshot, columns)
    held_out = rows_at(snapshot, split.held_out, wanted)
    task = material.task
    train_labels = labels_of(train, task)
    release_pages(material.matrix)
    return Examples(
        feature_names=names,
        all_names=all_names,
        train_matrix=train_matrix,
        train_labels=train_labels,
        train_rows=_stored(snapshot, columns, split.train[:: thinned_step(len(split.train))]),
        training_data=_describe(
            train[columns.row_id], train[TIME], train_matrix, train_labels, task
        ),
        held_out_matrix=held_out_matrix,
        held_out_labels=labels_of(held_out, task),
        held_out=held_out,
        columns=columns,
        task=task,
        is_by_time=split.is_by_time,
        held_out_file=held_out_file,
    )


def _train_matrix(
    material: Material, all_names: tuple[str, ...], kept_in: Workplace | None
) -> FloatMatrix:
    rows, names = material.split.train, material.feature_names
    if kept_in is None:
        return _columns(material.matrix, all_names, names, rows)
    chosen = [all_names.index(name) for name in names]
    return write_columns(kept_in.folder / "training.f32", material.matrix, rows, chosen)


def _judged_columns(snapshot: Snapshot, columns: RowColumns) -> list[str]:
    """Columns of the rows themselves that a judgement needs; of millions, no others are kept."""
    about = (columns.row_id, columns.entity, columns.stake, TIME, LABEL, *columns.words)
    return [name for name in snapshot.columns if name in about]


def thinned_step(rows: int) -> int:
    """Distributions are taken from every n-th training row; n is 1 unless there are very many."""
    return -(-rows // MAX_ROWS)


def _stored(snapshot: Snapshot, columns: RowColumns, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    wanted = (TIME, LABEL_KNOWN_AT, *columns.words)
    return rows_at(snapshot, rows, [name for name in wanted if name in snapshot.columns])


def _columns(
    matrix: FloatMatrix,
    all_names: Sequence[str],
    names: Sequence[str],
    rows: npt.NDArray[np.int64] | None = None,
) -> FloatMatrix:
    """A contiguous copy of some columns (and rows), made without an intermediate one."""
    place = {name: position for position, name in enumerate(all_names)}
    columns = np.array([place[name] for name in names], dtype=np.int64)
    index = (slice(None), columns) if rows is None else np.ix_(rows, columns)
    return np.ascontiguousarray(matrix[index])


def labels_of(rows: pl.DataFrame, task: Task) -> Labels:
    """Labels of a snapshot's rows, which all have one, as measures take them."""
    labels = rows[LABEL]
    if task.kind is TaskKind.BINARY:
        return labels.cast(pl.Int8).to_numpy()
    if task.kind is not TaskKind.RANKING:
        return labels.cast(pl.Float64).to_numpy()
    ratings = np.frombuffer(b"".join(labels.to_list()), dtype="<f4")
    return ratings.reshape(labels.len(), task.width)


def _describe(
    ids: pl.Series, times: pl.Series, matrix: FloatMatrix, labels: Labels, task: Task
) -> TrainingData:
    instants = times.to_numpy()
    is_binary = task.kind is TaskKind.BINARY
    return TrainingData(
        rows=len(ids),
        positives=int(np.count_nonzero(labels)) if is_binary else 0,
        window_start=_moment(instants.min()),
        window_end=_moment(instants.max()),
        sha256=_digest(ids, matrix, labels),
    )


def _moment(instant_us: np.int64) -> datetime:
    return to_datetime(int(instant_us))


def _digest(ids: pl.Series, matrix: FloatMatrix, labels: Labels) -> str:
    """One hash of who the rows are, what was known of them, and what they were labelled."""
    digest = hashlib.sha256()
    for at in range(0, len(ids), ROWS_PER_PASS):
        lines = "\n".join(ids[at : at + ROWS_PER_PASS].to_list())
        digest.update(("\n" * bool(at) + lines).encode())
    digest.update(np.ascontiguousarray(labels).data)
    for part in passes(matrix):
        digest.update(part.data)
    return digest.hexdigest()
