"""The baseline of a candidate's bundle, computed from the run's examples."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from scheduler.cycle.examples import Examples, thinned_step
from scheduler.drift.baseline import Baseline
from scheduler.drift.bins import ColumnKind, kind_of
from scheduler.drift.column_baseline import Rows, fit_columns
from scheduler.drift.estimate import (
    NOT_CALIBRATED,
    Floats,
    fit_calibration,
    measure,
    not_measured,
)
from shared.clock import MICROS_PER_DAY
from shared.tasks import label_values
from shared.usecase.rows import LABEL, LABEL_KNOWN_AT, TIME

SCORE = "score"
BASELINE_DAYS = 56
"""Eight weeks, the newest of the training rows. Older rows mislead: in the first weeks of a history
every entity is new, and last season's traffic differs from next week's.
"""
_NEARLY_ALL = 0.99


def baseline_of(
    examples: Examples, scores: Floats, categories: frozenset[str] = frozenset()
) -> Baseline:
    """Training rows for what comes in, held-out rows for what goes out.

    `scores` are the candidate's on the held-out rows: on rows it has learned from it is surer
    of itself than it will ever be again. `categories` are features that are codes of words:
    drift is looked for in the words themselves.
    """
    rows = examples.train_rows
    step = thinned_step(len(examples.train_matrix))
    instants = rows[TIME].to_numpy()
    recent = instants > instants.max() - BASELINE_DAYS * MICROS_PER_DAY
    # rows once: a column of a mapped file passes all its pages
    features = examples.train_matrix[::step][recent]
    columns: dict[str, npt.NDArray[Any]] = {
        name: rows[name].to_numpy()[recent]
        for name in examples.columns.words
        if name in rows.columns
    }
    columns |= {
        name: features[:, place]
        for place, name in enumerate(examples.feature_names)
        if name not in categories
    }
    is_binary = examples.task.estimated_without_labels
    columns[LABEL] = label_values(examples.task, examples.train_labels[::step])[recent]
    learned = Rows(columns, instants[recent] // MICROS_PER_DAY)
    held_out = Rows({SCORE: scores}, examples.held_out[TIME].to_numpy() // MICROS_PER_DAY)
    kinds = {name: _kind(name, values) for name, values in learned.columns.items()}
    kinds |= {} if examples.task.is_classification else {LABEL: ColumnKind.SCORE}
    positive = examples.held_out_labels == 1
    return Baseline(
        columns=fit_columns([learned, held_out], kinds | {SCORE: ColumnKind.SCORE}),
        label_delay_us=_label_delay_us(rows),
        calibration=fit_calibration(scores, positive) if is_binary else NOT_CALIBRATED,
        held_out=measure(scores, positive) if is_binary else not_measured(len(scores)),
    )


def _kind(name: str, values: npt.NDArray[Any]) -> ColumnKind:
    if name == LABEL:
        return ColumnKind.LABEL
    return ColumnKind.CATEGORY if values.dtype == object else kind_of(values)


def _label_delay_us(rows: pl.DataFrame) -> int:
    if LABEL_KNOWN_AT not in rows.columns:
        return 0
    delays = (rows[LABEL_KNOWN_AT] - rows[TIME]).drop_nulls().to_numpy()
    return max(int(np.quantile(delays, _NEARLY_ALL)), 0) if len(delays) else 0
