"""Figures of notifications, read from the database at each scrape."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from shared.errors import DataUnavailable
from shared.tables.notifications import Delivery, Event, count_notifications


class NotificationFigures(Collector):
    """Every event and outcome is there from the start, at 0."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "understudy_notifications",
            "Notifications that were delivered, or given up",
            labels=["event", "outcome"],
        )
        waits = GaugeMetricFamily(
            "understudy_notifications_waiting", "Notifications that are still to be delivered"
        )
        try:
            counts = count_notifications(self._engine)
        except DataUnavailable:
            return []
        for event in Event:
            for outcome in (Delivery.SENT, Delivery.GIVEN_UP):
                number = counts.get((event.value, outcome.value), 0)
                ended.add_metric([event.value, outcome.value], number)
        waits.add_metric(
            [], sum(n for (_, state), n in counts.items() if state == Delivery.WAITING.value)
        )
        return [ended, waits]
