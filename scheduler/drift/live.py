"""The rows the API scored: features as they were served, scores, and labels that matured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, Row, Select, func, select

from scheduler.cycle.baseline import SCORE
from scheduler.drift.column_baseline import MAX_ROWS, Rows
from scheduler.drift.estimate import Floats
from shared.bundle.manifest import Manifest
from shared.clock import MICROS_PER_DAY
from shared.tables.engine import database_errors
from shared.tasks import Task, TaskKind, label_values
from shared.transaction import OUR_RULES
from shared.usecase.learning import LearningUseCase
from shared.usecase.rows import LABEL
from shared.usecase.serving import FeatureSet, FloatMatrix

_COLUMNS = (
    "event_time",
    "label",
    "model_version",
    "component_scores",
    "feature_set_version",
    "feature_vector",
)
_FLOAT = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class DriftWindow:
    """Half-open instants of event time, and the instant whose knowledge may be used."""

    start_us: int
    end_us: int
    as_of_us: int

    @property
    def days(self) -> float:
        return (self.end_us - self.start_us) / MICROS_PER_DAY

    def earlier(self, micros: int) -> "DriftWindow":
        """The preceding window of the same length; knowledge of today may be used."""
        return DriftWindow(self.start_us - micros, self.end_us - micros, self.as_of_us)


@dataclass(frozen=True, slots=True)
class Live:
    """The rows served in a window, and the labels of an earlier window's rows.

    Attributes:
        groups: the columns as the check takes them: each group has its own rows.
        scores: the champion's, of the window; those of other versions are omitted.
        labelled_scores: the champion's, of rows whose labels have matured.
        labelled_positive: those labels.
        span_us: time from the first row of the window to the last.
    """

    groups: tuple[Rows, ...]
    scores: Floats
    labelled_scores: Floats
    labelled_positive: npt.NDArray[np.bool_]
    span_us: int


def read_live(
    engine: Engine,
    use_case: LearningUseCase,
    manifest: Manifest,
    window: DriftWindow,
    label_delay_us: int,
) -> Live:
    """The rows of the window; labels are those of the window that lies a label delay earlier.

    Younger labels would be biased: early complaints are not a representative sample.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    served = _read(engine, use_case, window, labelled=False)
    matured = _read(engine, use_case, window.earlier(label_delay_us), labelled=True)
    ours = [row for row in served if row.model_version == manifest.version]
    known = [row for row in matured if row.model_version == manifest.version]
    scores = _scores(use_case, manifest, ours)
    instants = [row.event_time for row in served]
    return Live(
        groups=(
            Rows(_words(served, use_case.columns.words), _days(served)),
            *_features(use_case, manifest, served),
            Rows({SCORE: scores}, _days(ours)),
            Rows({LABEL: _labels(use_case.task, matured)}, _days(matured)),
        ),
        scores=scores,
        labelled_scores=_scores(use_case, manifest, known),
        labelled_positive=np.array([row.label == 1 for row in known], dtype=np.bool_),
        span_us=instants[-1] - instants[0] if instants else 0,
    )


def _read(
    engine: Engine, use_case: LearningUseCase, window: DriftWindow, *, labelled: bool
) -> list[Row[Any]]:
    """Rows in the order of time; of too many rows, evenly spaced ones."""
    query = _query(use_case, window, labelled=labelled)
    counted = query.with_only_columns(func.count())
    with (
        database_errors("read what was served"),
        engine.connect().execution_options(stream_results=True) as connection,
    ):
        count: int = connection.scalar(counted) or 0
        ordered = query.order_by(query.selected_columns.event_time)
        rows: Iterator[Row[Any]] = iter(connection.execute(ordered))
        return list(islice(rows, 0, None, max(-(-count // MAX_ROWS), 1)))


def _query(use_case: LearningUseCase, window: DriftWindow, *, labelled: bool) -> Select[Any]:
    table = use_case.served
    names = dict.fromkeys((*use_case.columns.words, *_COLUMNS))
    query = select(*(table.c[name] for name in names)).where(
        table.c.event_time >= window.start_us,
        table.c.event_time < window.end_us,
        table.c.ingested_at <= window.as_of_us,
        table.c.component_scores.is_not(None),
    )
    if not labelled:
        return query
    return query.where(
        table.c.label.is_not(None),
        table.c.label_known_at <= window.as_of_us,
        table.c.label_source.is_distinct_from(OUR_RULES),
    )


def _labels(task: Task, rows: Sequence[Row[Any]]) -> npt.NDArray[Any]:
    if task.kind is TaskKind.RANKING:
        ratings = np.frombuffer(b"".join(row.label for row in rows), dtype=_FLOAT)
        return label_values(task, ratings.reshape(len(rows), task.width))
    kind = np.float64 if task.kind is TaskKind.REGRESSION else np.int64
    return np.array([row.label for row in rows], dtype=kind)


def _days(rows: Sequence[Row[Any]]) -> npt.NDArray[np.int64]:
    return np.array([row.event_time // MICROS_PER_DAY for row in rows], dtype=np.int64)


def _words(rows: Sequence[Row[Any]], names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Words by position: a declared column may have the name of a method of a row."""
    return {
        name: np.array([row[at] for row in rows], dtype=object) for at, name in enumerate(names)
    }


def _features(
    use_case: LearningUseCase, manifest: Manifest, rows: Sequence[Row[Any]]
) -> Iterator[Rows]:
    """A vector has the whole feature set; the champion was trained on some of it.

    Codes of words are omitted: the words themselves are among the texts.
    """
    known = use_case.feature_set
    names = known.names_of(manifest.feature_set_version)
    if not set(manifest.feature_names).issubset(names) or not names:
        return
    fitting = [row for row in rows if _holds(row, known, len(names))]
    # later versions of the feature set begin with the features of this one
    size = len(names) * _FLOAT.itemsize
    raw = b"".join(bytes(row.feature_vector[:size]) for row in fitting)
    matrix: FloatMatrix = np.frombuffer(raw, dtype=_FLOAT).reshape(len(fitting), len(names))
    watched = [name for name in manifest.feature_names if name not in known.categories]
    yield Rows({name: matrix[:, names.index(name)] for name in watched}, _days(fitting))


def _holds(row: Row[Any], known: FeatureSet, wanted: int) -> bool:
    """True if a row's vector is whole, and has at least the wanted features."""
    width = len(known.names_of(row.feature_set_version))
    if row.feature_vector is None or width < wanted:
        return False
    return len(row.feature_vector) == width * _FLOAT.itemsize


def _scores(use_case: LearningUseCase, manifest: Manifest, rows: Sequence[Row[Any]]) -> Floats:
    components = manifest.components
    scores = [[row.component_scores.get(name) for name in components] for row in rows]
    matrix: FloatMatrix = np.array(scores, dtype=np.float32).reshape(len(rows), len(components))
    return np.asarray(use_case.headline(matrix), dtype=np.float64)
