"""Figures and names as people read them; the filters of the template."""

import re
from datetime import UTC, datetime

from shared.clock import MICROS_PER_SECOND
from shared.tasks import Task, TaskKind

NOTHING = "\N{EN DASH}"
_SUPPORT = {
    TaskKind.BINARY: "positives",
    TaskKind.MULTICLASS: "rows of the rarest class",
    TaskKind.REGRESSION: "rows",
    TaskKind.RANKING: "entities",
}
_SMALLEST, _LARGEST = 0.001, 1e15
_DECIMALS = ((100.0, 0), (10.0, 1), (1.0, 2), (0.0, 4))
"""Decimals to print, by the smallest size that has them."""
_METRICS = {
    "auc": "area under the ROC curve",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "macro_f1": "macro-F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "r2": "R\N{SUPERSCRIPT TWO}",
    "recall_at_budget": "recall at the daily alert budget",
    "cost": "money a day at the daily alert budget",
    "alert_precision": "precision of the alerts",
    "alert_recall": "recall of the alerts",
    "alert_volume": "alerts a day",
    "alert_money": "money a day by the alerts",
    "alert_saved": "saved a day",
    "alert_missed": "missed a day",
    "alert_work": "cost of reviews, a day",
}


_AT_K = re.compile(r"(ndcg|precision|recall|f1)_at_(\d+)")


def metric_name(metric: str) -> str:
    at_k = _AT_K.fullmatch(metric)
    if at_k:
        name = at_k[1] if at_k[1] in ("precision", "recall") else at_k[1].upper()
        return f"{name}@{at_k[2]}"
    return _METRICS.get(metric, metric.replace("_", " "))


def support_words(task: Task) -> str:
    """The unit of a task's sample size, in words."""
    return _SUPPORT[task.kind]


def number(value: object) -> str:
    """The digits that count: four decimals of a share, fewer of what is larger."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _grouped(f"{value:,}")
    return _decimal(value) if isinstance(value, float) else str(value)


def _decimal(value: float) -> str:
    size = abs(value)
    if not size < _LARGEST or 0 < size < _SMALLEST:
        return f"{value:.2g}"
    if value == round(value, 2) and (size < 1 or value == round(value)):
        # a declared value, shown as written: 28, 0.05
        return _grouped(f"{value + 0.0:,.2f}".rstrip("0").removesuffix("."))
    decimals = next(decimals for least, decimals in _DECIMALS if size >= least)
    return _grouped(f"{value:,.{decimals}f}")


def _grouped(text: str) -> str:
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def figure(value: float) -> str:
    """A number that may not exist."""
    return NOTHING if value != value else number(value)  # noqa: PLR0124 - NaN


def sentence_start(text: str) -> str:
    """The text with a capital first letter; abbreviations keep their case."""
    return text[:1].upper() + text[1:]


def signed(value: float) -> str:
    """A difference; none at all has no sign."""
    text = number(float(value))
    return f"+{text}" if value > 0 else text


def named(name: str, value: object) -> str:
    """A figure of a verdict; instants are kept as microseconds and shown as such times."""
    if name.endswith("_us") and isinstance(value, int):
        return moment(datetime.fromtimestamp(value / MICROS_PER_SECOND, UTC))
    return str(value) if name == "seed" else number(value)


def plain_name(name: str) -> str:
    """The name of a figure without the unit that only storage has."""
    return name.removesuffix("_us")


def moment(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def days_between(start: datetime, end: datetime) -> str:
    return f"{(end - start).total_seconds() / 86_400:.1f} days"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else NOTHING


def size(count: int) -> str:
    return f"{count / 1_048_576:.2f} MiB" if count >= 1_048_576 else f"{count / 1_024:.1f} KiB"
