"""Held-out rows of every task with a known truth, for the gate's error and power.

Two models are wrong in ways that resemble each other (correlation .8 of their errors), and rows
depend on each other: a fifth of each model's error is common to a customer, a twentieth to a
day. In clustered worlds customers have 20 rows instead of 4 (8 in rankings), half of the error is
common to a customer, a tenth to a day, and there are 14 days instead of 28. `loss` is how much
worse the candidate truly is, as a share of the champion's value: 0.02 is worse by a margin of 2 %,
-0.05 better by 5 %. Where no formula gives the error that makes it so, it is found by bisection on
many rows with common random numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from learning.measures import measure_named
from scheduler.statistics.evidence import Evidence
from shared.tasks import Task

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

CORRELATION = 0.8
ITEMS = 29
CLASSES = (0.75, 0.18, 0.07)
MANY_NUMBERS = 1_000_000
ROWS, RANKING_ROWS = 2_000, 500


@dataclass(frozen=True)
class TaskWorld:
    """Rows of one round; a row of a ranking has 29 items, so there are fewer."""

    metric: str
    rows: int = ROWS
    loss: float = 0.0
    rows_per_customer: int = 4
    days: int = 28
    customer_share: float = 0.2
    day_share: float = 0.05

    @classmethod
    def usual(cls, metric: str) -> "TaskWorld":
        """Customers and days whose rows have a little in common."""
        return cls(metric, rows=RANKING_ROWS if metric == "ndcg_at_5" else ROWS)

    @classmethod
    def clustered(cls, metric: str) -> "TaskWorld":
        """Few customers and days, whose rows have much in common."""
        usual = cls.usual(metric)
        # 500 rows of 8 each make 62 customers: the gate needs 50
        rows_each = 8 if metric == "ndcg_at_5" else 20
        return replace(
            usual, rows_per_customer=rows_each, days=14, customer_share=0.5, day_share=0.1
        )


@dataclass(frozen=True)
class Groups:
    """The entity and the day of each row."""

    customers: Codes
    days: Codes
    customer_share: float
    day_share: float

    def noise(self, rng: np.random.Generator, width: int = 0) -> Floats:
        """Unit variance, some of it common to the customer and to the day."""
        shape = (width,) if width else ()
        by_row = rng.standard_normal((len(self.customers), *shape))
        by_customer = rng.standard_normal((int(self.customers.max()) + 1, *shape))
        by_day = rng.standard_normal((int(self.days.max()) + 1, *shape))
        mixed = (
            np.sqrt(1.0 - self.customer_share - self.day_share) * by_row
            + np.sqrt(self.customer_share) * by_customer[self.customers]
            + np.sqrt(self.day_share) * by_day[self.days]
        )
        return np.asarray(mixed)

    def errors(self, rng: np.random.Generator, width: int = 0) -> tuple[Floats, Floats]:
        """Errors of both models, with unit variance."""
        common = np.sqrt(CORRELATION) * self.noise(rng, width)
        own = np.sqrt(1.0 - CORRELATION)
        return common + own * self.noise(rng, width), common + own * self.noise(rng, width)


def draw_task(world: TaskWorld, rng: np.random.Generator, round_number: int = 1) -> Evidence:
    """The held-out rows of one round."""
    groups = Groups(
        rng.integers(max(world.rows // world.rows_per_customer, 2), size=world.rows),
        rng.integers(world.days, size=world.rows),
        world.customer_share,
        world.day_share,
    )
    kind = _KINDS[world.metric]
    labels, hidden = kind.truth(rng, world.rows)
    width = hidden.shape[1] if hidden.ndim == 2 else 0
    before, after = groups.errors(rng, width)
    factor = error_factor(world.metric, world.loss)
    return Evidence(
        champion=kind.predicted(hidden, before),
        candidate=kind.predicted(hidden, factor * after),
        labels=labels,
        customers=groups.customers,
        days=groups.days,
        champion_age_days=365.0,
        round_number=round_number,
        task=kind.task,
    )


@cache
def error_factor(metric: str, loss: float) -> float:
    """The factor on the candidate's error that makes it lose this share."""
    if loss == 0.0:
        return 1.0
    kind, measure = _KINDS[metric], measure_named(metric)
    rng = np.random.default_rng(12)
    labels, hidden = kind.truth(rng, MANY_NUMBERS // max(kind.task.width, 5))
    noise = rng.standard_normal(hidden.shape)
    champion = measure.of(kind.predicted(hidden, noise), labels).value

    def missing(factor: float) -> float:
        value = measure.of(kind.predicted(hidden, factor * noise), labels).value
        return value - champion + loss * abs(champion)

    return float(optimize.brentq(missing, 0.2, 3.0, xtol=1e-4))


@dataclass(frozen=True)
class _Kind:
    """A task: labels and what is hidden behind them; predictions of a model with this error."""

    task: Task
    truth: Callable[[np.random.Generator, int], tuple[Floats, Floats]]
    predicted: Callable[[Floats, Floats], Floats]


def _values(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """A value, and how hard a row is: a few rows make most of the error."""
    hardness = rng.lognormal(0.0, 0.5, rows)
    return 200.0 + 40.0 * rng.standard_normal(rows), hardness


def _value_rows(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    labels, hardness = _values(rng, rows)
    return labels, np.column_stack([labels, hardness])


def _predicted_value(hidden: Floats, error: Floats) -> Floats:
    return np.asarray(hidden[:, 0] + 10.0 * hidden[:, 1] * error[:, 0])


def _events(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    log_odds = -1.5 + 1.5 * rng.standard_normal(rows)
    return (rng.random(rows) < special.expit(log_odds)).astype(np.float64), log_odds


def _predicted_event(hidden: Floats, error: Floats) -> Floats:
    return np.asarray(special.expit(hidden + 0.8 * error))


def _classes(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    labels = rng.choice(len(CLASSES), size=rows, p=CLASSES)
    hidden = np.log(np.array(CLASSES)) + 2.5 * np.eye(len(CLASSES))[labels]
    return labels.astype(np.float64), hidden


def _predicted_class(hidden: Floats, error: Floats) -> Floats:
    return np.asarray(special.softmax(hidden + error, axis=1))


def _ratings(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    hidden = rng.standard_normal((rows, ITEMS)) + rng.standard_normal((rows, 1))
    labels = np.round(np.clip(3.0 + hidden, 1.0, 5.0) * 2) / 2
    labels[rng.random(labels.shape) < 0.4] = np.nan
    labels[:, 0] = np.where(np.isnan(labels).all(axis=1), 3.0, labels[:, 0])
    return labels, hidden


def _predicted_ratings(hidden: Floats, error: Floats) -> Floats:
    return np.asarray(hidden + error)


_VALUE = _Kind(Task.regression(), _value_rows, _predicted_value)
_KINDS: Mapping[str, _Kind] = {
    "rmse": _VALUE,
    "mae": _VALUE,
    "log_loss": _Kind(Task.binary(), _events, _predicted_event),
    "macro_f1": _Kind(Task.multiclass(["a", "b", "c"]), _classes, _predicted_class),
    "ndcg_at_5": _Kind(
        Task.ranking([str(item) for item in range(ITEMS)]), _ratings, _predicted_ratings
    ),
}
TASK_METRICS = tuple(_KINDS)
