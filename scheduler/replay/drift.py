"""The drift check of a replay: what the champion would have served, weighed as live rows are.

In production rows are compared as the API served them. Here nobody was served, so the rows of
the week before a round are scored by the champion, with the features they had when they came.
Labels are those of the rows a label delay earlier, as far as they were known at the round.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from scheduler.cycle.baseline import SCORE
from scheduler.drift.champion_baseline import ChampionBaseline
from scheduler.drift.column_baseline import Rows
from scheduler.drift.finding import DriftFinding, weigh
from scheduler.drift.live import DriftWindow, Live
from scheduler.replay.history import Hindsight, Later
from scheduler.replay.scores import headline_scores
from shared.clock import MICROS_PER_DAY, to_micros
from shared.scoring.session import OnnxModel
from shared.usecase.columns import LABEL, LABEL_KNOWN_AT, TIME
from shared.usecase.learning import LearningUseCase

INGESTED = "ingested_at"
WINDOW_US = 7 * MICROS_PER_DAY
Days = npt.NDArray[np.int64]


def look_back(
    use_case: LearningUseCase,
    hindsight: Hindsight,
    model: OnnxModel,
    champion: ChampionBaseline,
    as_of_us: int,
) -> DriftFinding:
    """Compare the week before an instant with what the champion was trained on.

    Raises:
        NotChecked: there is too little to say anything.
    """
    window = DriftWindow(as_of_us - WINDOW_US, as_of_us, as_of_us)
    served = _arrived(hindsight.between(window.start_us, window.end_us), as_of_us)
    earlier = window.earlier(champion.baseline.label_delay_us)
    matured = _known(hindsight.between(earlier.start_us, earlier.end_us), as_of_us)
    made_us = to_micros(model.manifest.created_at)
    ours, known = _since(served, made_us), _since(matured, made_us)
    scores = headline_scores(use_case, model, ours)
    times = served.rows[TIME]
    live = Live(
        groups=(
            Rows(_columns(use_case, model, served), _days(served)),
            Rows({SCORE: scores}, _days(ours)),
            Rows({LABEL: matured.rows[LABEL].cast(pl.Int8).to_numpy()}, _days(matured)),
        ),
        scores=scores,
        labelled_scores=headline_scores(use_case, model, known),
        labelled_positive=known.rows[LABEL].to_numpy() == 1,
        span_us=int(times[-1] - times[0]) if len(times) else 0,
    )
    return weigh(live, champion, window)


def _arrived(later: Later, as_of_us: int) -> Later:
    if INGESTED not in later.rows.columns:
        return later
    return later.take(later.rows[INGESTED].to_numpy() <= as_of_us)


def _known(later: Later, as_of_us: int) -> Later:
    if LABEL_KNOWN_AT not in later.rows.columns:
        return later.take(np.zeros(later.rows.height, np.bool_))
    known = (pl.col(LABEL_KNOWN_AT) <= as_of_us) & pl.col(LABEL).is_not_null()
    return later.take(later.rows.select(known.fill_null(value=False)).to_series().to_numpy())


def _since(later: Later, instant_us: int) -> Later:
    """Rows that the champion can have scored: it did not exist before."""
    return later.take(later.rows[TIME].to_numpy() >= instant_us)


def _columns(use_case: LearningUseCase, model: OnnxModel, later: Later) -> dict[str, Any]:
    texts = {name: later.rows[name].to_numpy() for name in use_case.columns.words
             if name in later.rows.columns}  # fmt: skip
    names = use_case.feature_set.names
    wanted = model.manifest.feature_names
    words = use_case.feature_set.categories
    return texts | {
        name: later.matrix[:, names.index(name)] for name in wanted if name not in words
    }


def _days(later: Later) -> Days:
    days: Days = later.rows[TIME].to_numpy() // MICROS_PER_DAY
    return days
