"""The newest drift check as figures for Prometheus, read from the database when asked for."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from scheduler.drift.alarm import ALARM
from scheduler.drift.stored import newest_check
from shared.errors import DataUnavailable

_METRICS = ("average_precision", "auc")
_REALISED = {
    "rows": "Recent rows whose labels have matured",
    "positives": "Positives among them",
    "average_precision": "Average precision of the champion on them",
    "auc": "Area under its ROC curve on them",
}


class DriftFigures(Collector):
    """Collects the alarm, the distance of each column, and the age of the newest check."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        try:
            checked = newest_check(self._engine)
        except DataUnavailable:
            return []
        alarm = GaugeMetricFamily("understudy_drift_alarm", "1 while the newest check is an alarm")
        looked = GaugeMetricFamily(
            "understudy_drift_checked_timestamp_seconds", "Time of the newest drift check"
        )
        ratio = GaugeMetricFamily(
            "understudy_drift_effect_ratio",
            "Effect of the drift of a column, as a multiple of its floor",
            labels=["column"],
        )
        if checked is not None:
            alarm.add_metric([], checked.found[ALARM])
            looked.add_metric([], datetime.fromisoformat(checked.finished_at).timestamp())
            for column in checked.found["columns"]:
                ratio.add_metric([column["name"]], column["effect"] / column["floor"])
        prediction = {} if checked is None else checked.found.get("outlook", {})
        return [alarm, looked, ratio, *_realised(prediction), *_estimated(prediction)]


def _realised(prediction: Mapping[str, Any]) -> Iterable[Metric]:
    """Realised metrics of rows that the champion scored and whose labels are known since."""
    matured = prediction.get("matured") or {}
    for name, text in _REALISED.items():
        family = GaugeMetricFamily(f"understudy_matured_{name}", text)
        if matured.get(name) is not None:
            family.add_metric([], matured[name])
        yield family


def _estimated(prediction: Mapping[str, Any]) -> Iterable[Metric]:
    """Metrics estimated from calibrated scores: of the matured rows, and of the whole window."""
    for part, rows in (("promised", "the matured rows"), ("expected", "recent rows")):
        for name in _METRICS:
            family = GaugeMetricFamily(
                f"understudy_{part}_{name}",
                f"Estimate of {name} on {rows}: its mean, and where nine in ten draws lie",
                labels=["bound"],
            )
            estimate = (prediction.get(part) or {}).get(name) or {}
            known = {bound: value for bound, value in estimate.items() if value is not None}
            for bound, value in known.items():
                family.add_metric([bound], value)
            yield family
