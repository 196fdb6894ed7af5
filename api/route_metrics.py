"""What each route answered and how long it took, counted in plain integers.

A counter of the Prometheus client takes a lock and a loop over the buckets for each answer.
All answers are counted on the event loop, so nobody else counts meanwhile, and Prometheus
reads what is there when it asks.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class RouteMetrics:
    """Counts of one route."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(_BUCKETS, seconds)] += 1
        self.seconds += seconds


class AllRoutes(Collector):
    """The counts of every route that was asked for so far."""

    def __init__(self) -> None:
        self._routes: dict[str, RouteMetrics] = {}

    def route(self, path: str) -> RouteMetrics:
        return self._routes.setdefault(path, RouteMetrics())

    def collect(self) -> Iterable[Metric]:
        answers = CounterMetricFamily(
            "understudy_requests", "Answers given", labels=("route", "status")
        )
        times = HistogramMetricFamily(
            "understudy_request_seconds", "Time to the answer", labels=("route",)
        )
        edges = [*map(str, _BUCKETS), "+Inf"]
        for path, counts in list(self._routes.items()):
            for status, number in list(counts.statuses.items()):
                answers.add_metric((path, str(status)), number)
            running = list(zip(edges, accumulate(counts.buckets), strict=True))
            times.add_metric((path,), running, counts.seconds)
        return (answers, times)
