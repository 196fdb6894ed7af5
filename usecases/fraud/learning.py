"""The learning half of the fraud use case: each question passed to the module that knows."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine, FromClause, func, select

from learning.dataset.large import ScannedQuarantine, Workplace
from learning.dataset.scanned import ScannedRows, Snapshot
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from shared.tasks import Task
from shared.usecase.learning import (
    Candidate,
    Labels,
    LearningUseCase,
    Progress,
    Quarantine,
    Split,
)
from shared.usecase.policy import PromotionPolicy
from shared.usecase.rows import RowColumns
from shared.usecase.serving import FeatureSet, FloatMatrix
from shared.verdicts import Verdict

from .features import batch
from .features.catalogue import FEATURE_SET
from .features.sharded import compute_sharded
from .judgement import alerts
from .training import metrics
from .training.candidate import FraudTrainingRequest, train_candidate
from .training.policy import FraudPolicy, read_policy
from .training.quality.features import FeatureContext, judge_features
from .training.quality.judge import judge_quality
from .training.quality.rows import quarantine, wrong_rows
from .training.quality.served import read_served
from .training.recipe import FraudRecipe
from .training.snapshot import read_snapshot
from .training.snapshot_files import scan_snapshot
from .training.split import Mask, chronological_split, slices_of

NAME = Path(__file__).parent.name
SCHEMA_VERSION = 1
TASK = Task.binary()
COLUMNS = RowColumns(
    row_id="transaction_id",
    entity="user_id",
    stake="amount",
    words=("transaction_type", "channel", "merchant_category", "country", "currency"),
)


class FraudLearning:
    """Implements `LearningUseCase`; the policy file is read when it is first needed."""

    @property
    def name(self) -> str:
        return NAME

    @property
    def schema_version(self) -> int:
        return SCHEMA_VERSION

    @property
    def feature_set(self) -> FeatureSet:
        return FEATURE_SET

    @property
    def task(self) -> Task:
        return TASK

    @property
    def policy(self) -> PromotionPolicy:
        return self._policy.promotion

    @property
    def columns(self) -> RowColumns:
        return COLUMNS

    @property
    def served(self) -> FromClause:
        return api_transaction_logs

    def newest_row_us(self, engine: Engine) -> int | None:
        tables = (transaction_history_logs, api_transaction_logs)
        with database_errors("look for the newest row"), engine.connect() as connection:
            found = [connection.scalar(select(func.max(table.c.event_time))) for table in tables]
        return max((int(instant) for instant in found if instant is not None), default=None)

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        return read_snapshot(engine, as_of_us)

    def quarantine(self, snapshot: pl.DataFrame, as_of_us: int) -> Quarantine:
        return quarantine(snapshot, as_of_us, self._policy.quality)

    def check_quality(self, snapshot: pl.DataFrame, as_of_us: int) -> Verdict:
        return judge_quality(snapshot, as_of_us, self._policy.quality)

    def features(self, snapshot: pl.DataFrame) -> FloatMatrix:
        return batch.compute(snapshot)

    def stored_rows(self, engine: Engine) -> int:
        tables = (transaction_history_logs, api_transaction_logs)
        with database_errors("count the stored rows"), engine.connect() as connection:
            counts = [connection.scalar(select(func.count()).select_from(one)) for one in tables]
        return sum(count or 0 for count in counts)

    def scan_snapshot(self, engine: Engine, as_of_us: int, place: Workplace) -> ScannedRows:
        return scan_snapshot(engine, as_of_us, place)

    def scan_quarantine(
        self, snapshot: ScannedRows, as_of_us: int, place: Workplace
    ) -> ScannedQuarantine:
        found = wrong_rows(snapshot, as_of_us, self._policy.quality)
        if found is None:
            return ScannedQuarantine(snapshot, {}, 0)
        is_wrong, faults = found
        return ScannedQuarantine(
            snapshot.without(is_wrong, place.folder), faults, int(is_wrong.sum())
        )

    def scan_quality(self, snapshot: ScannedRows, as_of_us: int, place: Workplace) -> Verdict:
        return judge_quality(snapshot, as_of_us, self._policy.quality, place)

    def scan_features(self, snapshot: ScannedRows, place: Workplace) -> FloatMatrix:
        return compute_sharded(snapshot, place)

    def scan_split(self, snapshot: ScannedRows, as_of_us: int) -> Split:
        return chronological_split(snapshot, as_of_us, self._policy.split)

    def scan_feature_quality(
        self,
        engine: Engine,
        snapshot: ScannedRows,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        return self._feature_quality(engine, snapshot, matrix, split, as_of_us)

    def warm_up(self) -> None:
        """Have the compiled functions of training on disk before the first run needs them."""
        batch.warm_up()

    def split(self, snapshot: pl.DataFrame, as_of_us: int) -> Split:
        return chronological_split(snapshot, as_of_us, self._policy.split)

    def check_features(
        self,
        engine: Engine,
        snapshot: pl.DataFrame,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        return self._feature_quality(engine, snapshot, matrix, split, as_of_us)

    def _feature_quality(
        self,
        engine: Engine,
        snapshot: Snapshot,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict:
        served = read_served(engine, as_of_us, FEATURE_SET)
        context = FeatureContext(
            self._policy.quality,
            FEATURE_SET.names,
            matrix,
            split,
            served,
            FEATURE_SET.categories,
        )
        return judge_features(snapshot, context)

    def train(
        self,
        matrix: FloatMatrix,
        labels: Labels,
        feature_names: Sequence[str],
        seed: int,
        progress: Progress,
    ) -> Candidate:
        ask = FraudTrainingRequest(
            matrix=matrix,
            labels=labels,
            feature_names=tuple(feature_names),
            feature_set_version=FEATURE_SET.version,
            thresholds=self._policy.thresholds,
            seed=seed,
            recipe=FraudRecipe(self._policy.classifier),
        )
        return train_candidate(ask, progress)

    def headline(self, scores: FloatMatrix) -> npt.NDArray[np.float64]:
        return metrics.headline(scores)

    def alerts(
        self, scores: FloatMatrix, components: Sequence[str], thresholds: Mapping[str, float]
    ) -> Mask:
        return alerts(scores, components, thresholds)

    def metrics(
        self, scores: npt.NDArray[np.float64], labels: Labels, held_out: pl.DataFrame
    ) -> Mapping[str, float]:
        alerts = self._policy.promotion.daily_alerts
        return metrics.point_estimates(scores, labels, held_out, alerts)

    def slices(self, held_out: pl.DataFrame, features: FloatMatrix) -> Mapping[str, Mask]:
        return slices_of(held_out, features)

    @cached_property
    def _policy(self) -> FraudPolicy:
        return read_policy()


def use_case() -> LearningUseCase:
    """The factory that `usecases.load_learning` calls."""
    return FraudLearning()
