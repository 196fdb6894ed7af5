"""The history of a replay: a database that is only read, and what is known of it by now.

A model's metrics and alerts in the weeks it would have served are computed from that, too.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from scheduler.cycle.examples import labels_of
from scheduler.replay.plan import ReplayImpossible, ReplaySpan
from shared.clock import isoformat
from shared.scoring.session import OnnxModel
from shared.tables.engine import connect, database_errors
from shared.tables.schema import features_config
from shared.tasks import Task, TaskKind
from shared.usecase.learning import Labels, LearningUseCase
from shared.usecase.rows import LABEL, TIME
from shared.usecase.serving import FloatMatrix

EMPTY = "there is no history to replay: `understudy import` or `understudy seed` adds some"
SQLITE = "sqlite"
MetricValues = Mapping[str, float | None]

ALERT = "review"
"""The threshold of a bundle above which a person examines a row."""
ALERTS, PRECISION, RECALL = "alerts", "alert_precision", "alert_recall"


@dataclass(frozen=True, slots=True)
class Later:
    """Rows of some time, as far as is known by now, with the features they had when they came."""

    rows: pl.DataFrame
    matrix: FloatMatrix

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Later":
        return Later(self.rows.filter(chosen), self.matrix[chosen])

    def labelled(self) -> "Later":
        return self.take(self.rows[LABEL].is_not_null().to_numpy())

    def labels(self, task: Task) -> Labels:
        """Labels of rows that all have one."""
        return labels_of(self.rows, task)


class Hindsight:
    """The rows served after each round, and their labels as far as known by now.

    A row's features depend only on what was known when it arrived, so they are computed once for
    all rounds. Only this module uses labels that became known later.
    """

    def __init__(self, use_case: LearningUseCase, engine: Engine, known_us: int) -> None:
        rows = use_case.snapshot(engine, known_us)
        if rows.is_empty():
            raise ReplayImpossible(EMPTY)
        self._times: npt.NDArray[np.int64] = rows[TIME].to_numpy()
        self._order = np.argsort(self._times, kind="stable")
        self._times = self._times[self._order]
        self._sums = np.cumsum(rows.hash_rows(seed=0).to_numpy()[self._order], dtype=np.uint64)
        self._matrix = use_case.features(rows)
        self._rows = rows

    @property
    def first_us(self) -> int:
        return int(self._times[0])

    @property
    def last_us(self) -> int:
        return int(self._times[-1])

    def check(self, spans: tuple[ReplaySpan, ...]) -> None:
        """Refuse a plan of which no round has anything to learn from or to be judged by.

        Raises:
            ReplayImpossible: says from when to when there is history.
        """
        if spans[-1].as_of_us <= self.first_us or spans[0].as_of_us > self.last_us:
            raise ReplayImpossible(
                f"no history there: it reaches from {isoformat(self.first_us)} "
                f"to {isoformat(self.last_us)}, the replay from {isoformat(spans[0].as_of_us)} "
                f"to {isoformat(spans[-1].as_of_us)}"
            )

    def between(self, start_us: int, end_us: int) -> Later:
        """The rows that happened in [start, end), in the order of time."""
        begin, end = np.searchsorted(self._times, [start_us, end_us])
        places = self._order[begin:end]
        return Later(self._rows[places], self._matrix[places])

    def fingerprint(self, until_us: int) -> str:
        """Changes whenever a row before an instant, or what is known of it, does."""
        count = int(np.searchsorted(self._times, until_us))
        total = int(self._sums[count - 1]) if count else 0
        return hashlib.sha256(f"{count} {total}".encode()).hexdigest()


def newest_event_us(use_case: LearningUseCase, engine: Engine) -> int:
    """The instant of the newest row.

    Raises:
        ReplayImpossible: there is none.
        DataUnavailable: the history cannot be read.
    """
    newest = use_case.newest_row_us(engine)
    if newest is None:
        raise ReplayImpossible(EMPTY)
    return newest


def switched_features(engine: Engine) -> list[dict[str, Any]]:
    """FeaturesConfig of the history: the replay leaves out what production leaves out.

    Raises:
        DataUnavailable: the history cannot be read.
    """
    query = select(features_config).order_by(features_config.c.featurename)
    with database_errors("read the history"), engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def connect_read_only(database_url: str) -> Engine:
    """An engine through which nothing can be written.

    Raises:
        SettingsError: the URL does not parse.
        ReplayImpossible: it names a file that does not exist.
    """
    engine = connect(database_url)
    if engine.dialect.name != SQLITE:
        return engine.execution_options(postgresql_readonly=True)
    file = make_url(database_url).database
    if not file or not Path(file).is_file():
        raise ReplayImpossible(f"DATABASE_URL: there is no file {file}; {EMPTY}")
    event.listen(engine, "connect", _only_read)
    return engine


def _only_read(connection: object, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]


def score_period(use_case: LearningUseCase, model: OnnxModel, later: Later) -> MetricValues:
    """Point estimates on rows that are all labelled; None is what is undefined there."""
    task = use_case.task
    labels = later.labels(task)
    if not len(labels):
        return {}
    scores = scores_of(use_case, model, later)
    headline = use_case.headline(scores)
    is_binary = task.kind is TaskKind.BINARY
    predicted = headline if is_binary else task.predictions(scores)
    metrics: dict[str, float | None] = {
        name: value if math.isfinite(value) else None
        for name, value in use_case.metrics(predicted, labels, later.rows).items()
    }
    threshold = model.manifest.thresholds.get(ALERT)
    if threshold is None:
        return metrics
    flagged = headline >= threshold
    hits = int(np.count_nonzero(labels[flagged] == 1))
    return {
        **metrics,
        ALERTS: float(np.count_nonzero(flagged)),
        PRECISION: _share(hits, int(np.count_nonzero(flagged))),
        RECALL: _share(hits, int(np.count_nonzero(labels == 1))),
    }


def headline_scores(
    use_case: LearningUseCase, model: OnnxModel, later: Later
) -> npt.NDArray[np.float64]:
    """One number a row, by which drift is looked for and alerts are counted."""
    return use_case.headline(scores_of(use_case, model, later))


def scores_of(use_case: LearningUseCase, model: OnnxModel, later: Later) -> FloatMatrix:
    """A model's scores of these rows."""
    names = use_case.feature_set.names
    columns = [names.index(name) for name in model.manifest.feature_names]
    return model.score(np.ascontiguousarray(later.matrix[:, columns]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
