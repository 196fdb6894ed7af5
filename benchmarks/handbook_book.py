"""The book's own side of the Handbook comparison: its 15 features and two of its models.

"Reproducible Machine Learning for Credit Card Fraud Detection", chapters 3 and 5. If these two
do not come out as published, the protocol here is not the book's, and nothing else compares.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.usecase.learning import Labels, Split

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DELAY_DAYS = 7
WINDOWS_DAYS = (1, 7, 30)
SATURDAY, LAST_NIGHT_HOUR = 5, 6
# 1970-01-01 was a Thursday
EPOCH_WEEKDAY = 3

PUBLISHED: Mapping[str, tuple[float, float, float]] = {
    "tree": (0.792, 0.542, 0.265),
    "forest": (0.870, 0.678, 0.299),
}
"""ROC AUC, average precision, card precision at 100."""


def book_features(rows: pl.DataFrame) -> Floats:
    """Amount, weekend, night, and windows of customer and terminal, in the order of the rows."""
    time = rows["event_time"].to_numpy()
    amount = rows["amount"].to_numpy()
    fraud = rows["label"].fill_null(0).to_numpy().astype(np.float64)
    hour = (time // MICROS_PER_HOUR) % 24
    weekday = (time // MICROS_PER_DAY + EPOCH_WEEKDAY) % 7
    customer = _Sorted(rows["user_id"], time)
    terminal = _Sorted(rows["merchant_id"], time)
    columns = [amount, weekday >= SATURDAY, hour <= LAST_NIGHT_HOUR]
    for days in WINDOWS_DAYS:
        count, spent = customer.window(amount, 0, days)
        columns += [count, spent / count]
    for days in WINDOWS_DAYS:
        count, frauds = terminal.window(fraud, DELAY_DAYS, days)
        columns += [count, np.divide(frauds, count, out=np.zeros(len(count)), where=count > 0)]
    return np.column_stack(columns).astype(np.float64)


class _Sorted:
    """Rows by group and time, so that a window is a slice."""

    def __init__(self, group: pl.Series, time: Ints) -> None:
        since = time - time.min()
        # longer than any window, so that no window reaches into the previous group
        stride = int(since.max()) + 60 * MICROS_PER_DAY
        key = (group.rank("dense").to_numpy().astype(np.int64)) * stride + since
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]

    def window(self, values: Floats, delay_days: int, days: int) -> tuple[Floats, Floats]:
        """Count and sum over (t - delay - days, t - delay]; without delay the row is in it."""
        sums = np.concatenate([[0.0], np.cumsum(values[self._order])])
        start = self._since((delay_days + days) * MICROS_PER_DAY)
        end = self._since(delay_days * MICROS_PER_DAY) if delay_days else None
        stop = np.arange(1, len(self._key) + 1) if end is None else end
        count, total = np.empty(len(stop)), np.empty(len(stop))
        count[self._order], total[self._order] = stop - start, sums[stop] - sums[start]
        return count, total

    def _since(self, micros: int) -> Ints:
        """The first row of the same group within a period before each row."""
        found: Ints = np.searchsorted(self._key, self._key - micros, side="right")
        return found


def book_scores(features: Floats, labels: Labels, split: Split) -> dict[str, Floats]:
    """Both models learned from one training week, asked about its test rows."""
    models = {
        "tree": DecisionTreeClassifier(max_depth=2, random_state=0),
        "forest": RandomForestClassifier(100, max_depth=20, n_jobs=2, random_state=0),
    }
    train, test = features[split.train], features[split.held_out]
    return {
        name: model.fit(train, labels[split.train]).predict_proba(test)[:, 1]
        for name, model in models.items()
    }
