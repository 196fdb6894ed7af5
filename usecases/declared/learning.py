"""The learning half of a declared use case: each question passed to the module that knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine, FromClause, func, inspect, select

from learning.measures import point_values
from learning.trainers.request import InputColumn, Recipe, TrainingRequest
from learning.trainers.train import train
from shared.clock import Clock, SystemClock
from shared.rows.declaration import FILE_NAME, Declaration, read_declaration
from shared.rows.declared_keys import GRADIENT_BOOSTING
from shared.rows.encoder import Slot, SlotKind, feature_set_of, slots_of, word_hashes
from shared.rows.frames import encode_frame, read_rows
from shared.rows.schema import Kind, RowSchema
from shared.rows.table_changes import make_tables
from shared.rows.tables import RowTables, served_rows, tables_of
from shared.tables.engine import database_errors
from shared.tasks import Task, TaskKind, comparison_values
from shared.tasks.answer import DECISION, DEFAULT_DECISION
from shared.usecase.learning import Candidate, Labels, Progress, Quarantine, Split
from shared.usecase.policy import PromotionPolicy
from shared.usecase.rows import RowColumns
from shared.usecase.serving import FeatureSet, FloatMatrix
from shared.verdicts import Verdict
from usecases.declared.policy import promotion_policy
from usecases.declared.quality.features import judge_features, read_served
from usecases.declared.quality.judge import judge_quality, quarantine_rows
from usecases.declared.refresh import refresh
from usecases.declared.split import slices_of, split_rows

MOST_WORDS = 20_000
"""Words of one category that a custom estimator receives by name."""


@dataclass
class DeclaredLearning:
    """Implements `LearningUseCase` for a declaration.

    Attributes:
        folder: relative files of its source lie there.
        words: the words of each open category as the latest split saw them; the vector holds
            hashes, and an estimator that takes a DataFrame wants the words back.
    """

    declared: Declaration
    folder: Path = Path()
    clock: Clock = field(default_factory=SystemClock)
    words: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def row_schema(self) -> RowSchema:
        return self.declared.row_schema

    @cached_property
    def tables(self) -> RowTables:
        return tables_of(self.row_schema)

    @property
    def name(self) -> str:
        return self.row_schema.name

    @property
    def schema_version(self) -> int:
        return self.row_schema.version

    @property
    def task(self) -> Task:
        return self.row_schema.task

    @property
    def feature_set(self) -> FeatureSet:
        return feature_set_of(self.row_schema)

    @property
    def policy(self) -> PromotionPolicy:
        return promotion_policy(self.declared)

    @property
    def columns(self) -> RowColumns:
        roles, columns = self.row_schema.roles, self.row_schema.columns
        words = tuple(column.name for column in columns if column.kind is Kind.CATEGORY)
        return RowColumns("row_id", roles.entity and "entity", roles.stake, words)

    @cached_property
    def served(self) -> FromClause:
        return served_rows(self.tables)

    def newest_row_us(self, engine: Engine) -> int | None:
        query = select(func.max(self.tables.rows.c.event_time))
        with database_errors("look for the newest row"):
            # a read-only history either has its tables or is empty
            is_made = inspect(engine).has_table(self.tables.rows.name)
        if not is_made:
            make_tables(engine, self.tables)
        with database_errors("look for the newest row"), engine.connect() as connection:
            newest: int | None = connection.scalar(query)
            return newest

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        refresh(engine, self.declared, self.folder, self.clock.now_us())
        return read_rows(engine, self.tables, as_of_us)

    def quarantine(self, snapshot: pl.DataFrame, as_of_us: int) -> Quarantine:
        return quarantine_rows(snapshot, as_of_us, self.declared)

    def check_quality(self, snapshot: pl.DataFrame, as_of_us: int) -> Verdict:
        return judge_quality(snapshot, as_of_us, self.declared)

    def features(self, snapshot: pl.DataFrame) -> FloatMatrix:
        return encode_frame(self.row_schema, snapshot)

    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split:
        for column in self.row_schema.columns:
            if column.is_open:
                counted = snapshot[column.name].drop_nulls().value_counts(sort=True)
                self.words[column.name] = counted.head(MOST_WORDS)[column.name].to_list()
        return split_rows(snapshot, as_of_us, self.declared)

    def check_features(
        self,
        engine: Engine,
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,  # noqa: ARG002 - the snapshot holds only what was known then
    ) -> Verdict:
        served = read_served(engine, self.tables)
        return judge_features(snapshot, matrix, split, served, self.declared)

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        return train(self.training_request(matrix, labels, feature_names, seed), progress)

    def training_request(
        self, matrix: FloatMatrix, labels: Labels, feature_names: Sequence[str], seed: int
    ) -> TrainingRequest:
        """The request to the trainers: rows with the declared columns and recipes."""
        by_name = {slot.name: slot for slot in slots_of(self.row_schema)}
        return TrainingRequest(
            task=self.task,
            matrix=matrix,
            labels=labels,
            columns=tuple(self._input(by_name[name]) for name in feature_names),
            feature_set_version=self.feature_set.version,
            recipes=_recipes(self.declared),
            measure=self.declared.metric,
            folds=self.declared.judge.folds or 0,
            outlier=self.declared.train.outlier,
            seed=seed,
            items=self._item_slots(),
        )

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        return comparison_values(self.task, scores)

    def alerts(
        self, scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
    ) -> npt.NDArray[np.bool_]:
        del components
        if self.task.kind is not TaskKind.BINARY:
            return np.zeros(len(scores), dtype=np.bool_)
        limit = thresholds.get(DECISION, DEFAULT_DECISION)
        is_alert: npt.NDArray[np.bool_] = scores[:, 0] >= limit
        return is_alert

    def metrics(
        self, scores: npt.NDArray[np.float64], labels: Labels, held_out: pl.DataFrame
    ) -> Mapping[str, float]:
        del held_out
        judge = self.declared.judge
        truth = labels.astype(np.float64)
        return point_values(self.task, scores, truth, (*judge.guards, *judge.floors))

    def slices(
        self, held_out: pl.DataFrame, features: FloatMatrix
    ) -> Mapping[str, npt.NDArray[np.bool_]]:
        del features
        return slices_of(held_out, self.declared)

    def _item_slots(self) -> tuple[str, ...]:
        """The slot of each item of a ranking, in order."""
        first = {slot.column: slot.name for slot in reversed(slots_of(self.row_schema))}
        return tuple(first[name] for name in self.row_schema.roles.items)

    def _input(self, slot: Slot) -> InputColumn:
        if slot.kind is SlotKind.NUMBER:
            return InputColumn(slot.name)
        if slot.kind is SlotKind.INDEX:
            words = {float(at): word for at, word in enumerate(slot.words)}
        else:
            seen = self.words.get(slot.column, ())
            words = {float(word_hashes(word)[slot.position]): word for word in seen}
        return InputColumn(slot.name, is_category=True, words=words, field=slot.column)


def _recipes(declared: Declaration) -> tuple[Recipe, ...]:
    section = declared.train
    ranking = declared.use_case.task is TaskKind.RANKING
    model = section.model or ("denoising_autoencoder" if ranking else GRADIENT_BOOSTING)
    first = Recipe(model, dict(section.settings))
    return (first, *(Recipe(name) for name in section.candidates if name != model))


def stored_labels(task: Task, labels: pl.Series) -> npt.NDArray[np.float64]:
    """Labels of a snapshot as numbers: one a row, or one a row and item."""
    if task.kind is not TaskKind.RANKING:
        return labels.cast(pl.Float64).to_numpy()
    vectors = [np.frombuffer(raw, dtype="<f4") for raw in labels]
    return np.stack(vectors).astype(np.float64) if vectors else np.empty((0, task.width))


def learning_of(folder: Path) -> DeclaredLearning:
    """The learning half of the declaration in a folder.

    Raises:
        DeclarationError: names every key that is wrong, and the remedy.
    """
    return DeclaredLearning(read_declaration(folder / FILE_NAME), folder)
