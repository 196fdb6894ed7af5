"""The newest drift check as figures for Prometheus, read from the database when asked for."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from scheduler.drift.alarm import ALARM
from scheduler.drift.stored import newest_check
from shared.errors import DataUnavailable


class DriftFigures(Collector):
    """Whether there is an alarm, how far each column moved, and how old the news is."""

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
        return [alarm, looked, ratio]
