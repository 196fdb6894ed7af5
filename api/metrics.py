"""Prometheus metrics, in the application's own registry.

Counters of every row are plain integers: a counter of the Prometheus client takes
a lock and a loop over the buckets for each answer. All answers are counted on the event loop, so no
other thread counts meanwhile, and Prometheus reads what is there when it asks.
"""

import collections
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from native.metrics import NativeParts
from shared.clock import MICROS_PER_SECOND

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# Versions with metrics; more would make /metrics grow with every promotion.
_KEPT = 8
# Answers of a version that was never in service here: on trial, or in another's stead.
_NEVER_ACTIVATED = ""

AnsweredRow = tuple[str, str, float]
"""The version that answered a row, its decision, and the seconds it took."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
            "understudy_request_seconds", "Time to the response", labels=("route",)
        )
        edges = [*map(str, _BUCKETS), "+Inf"]
        for path, counts in list(self._routes.items()):
            for status, number in list(counts.statuses.items()):
                answers.add_metric((path, str(status)), number)
            running = list(zip(edges, accumulate(counts.buckets), strict=True))
            times.add_metric((path,), running, counts.seconds)
        return (answers, times)


class VersionCounts:
    """Counts of one version since its activation."""

    __slots__ = ("activation", "buckets", "decisions", "failed", "seconds")

    def __init__(self, activation: str) -> None:
        self.activation = activation
        self.decisions: dict[str, int] = {}
        self.failed = 0
        self.buckets = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0

    @property
    def rows(self) -> int:
        return sum(self.buckets)


class AllVersions(Collector):
    """The counts of the versions that answered last, and of all decisions since the start."""

    def __init__(self) -> None:
        self._versions: dict[str, VersionCounts] = {}
        # Decisions of versions whose counts are not kept any more.
        self._past: collections.Counter[str] = collections.Counter()
        self._latest = ("", VersionCounts(_NEVER_ACTIVATED))

    def activated(self, version: str, activated_at_us: int) -> None:
        """Count the rows of a version from zero, unless it is the same activation."""
        activation = str(activated_at_us // MICROS_PER_SECOND)
        known = self._versions.get(version)
        if known is None or known.activation != activation:
            self._begin(version, activation)

    def answered(self, rows: Iterable[AnsweredRow]) -> None:
        for version, decision, seconds in rows:
            counts = self._of(version)
            counts.decisions[decision] = counts.decisions.get(decision, 0) + 1
            counts.buckets[bisect_left(_BUCKETS, seconds)] += 1
            counts.seconds += seconds

    def failed(self, version: str, rows: int) -> None:
        """Rows that the version could not answer and another one could."""
        self._of(version).failed += rows

    def rows_of(self, version: str) -> int:
        """Rows answered since the activation, or the start of the process."""
        counts = self._versions.get(version)
        return 0 if counts is None else counts.rows

    def collect(self) -> Iterable[Metric]:
        labels = ("version", "activation")
        failed = CounterMetricFamily(
            "understudy_version_failed_rows",
            "Rows a version failed on and its fallback scored, by version",
            labels=labels,
        )
        times = HistogramMetricFamily(
            "understudy_version_row_seconds",
            "Time to the journal record of a row, by version",
            labels=labels,
        )
        made = CounterMetricFamily(
            "understudy_version_decisions", "Rows scored, by version", labels=(*labels, "decision")
        )
        for version, counts in list(self._versions.items()):
            names = (version, counts.activation)
            failed.add_metric(names, counts.failed)
            times.add_metric(names, _running(counts.buckets), counts.seconds)
            for decision, number in list(counts.decisions.items()):
                made.add_metric((*names, decision), number)
        return (failed, times, made, self._all_decisions())

    def _all_decisions(self) -> Metric:
        total = collections.Counter(self._past)
        for counts in list(self._versions.values()):
            total.update(counts.decisions)
        family = CounterMetricFamily(
            "understudy_decisions", "Rows scored and recorded", labels=("decision",)
        )
        for decision, number in total.items():
            family.add_metric((decision,), number)
        return family

    def _of(self, version: str) -> VersionCounts:
        """Nearly always that of the row before."""
        if version != self._latest[0]:
            counts = self._versions.get(version)
            self._latest = (version, counts or self._begin(version, _NEVER_ACTIVATED))
        return self._latest[1]

    def _begin(self, version: str, activation: str) -> VersionCounts:
        for old in [version, *list(self._versions)[: 1 - _KEPT]]:
            forgotten = self._versions.pop(old, None)
            if forgotten is not None:
                self._past.update(forgotten.decisions)
        counts = self._versions[version] = VersionCounts(activation)
        self._latest = (version, counts)
        return counts


def _running(buckets: Sequence[int]) -> list[tuple[str, float]]:
    edges = [*map(str, _BUCKETS), "+Inf"]
    return [(edge, float(number)) for edge, number in zip(edges, accumulate(buckets), strict=True)]


class Metrics:
    """Every metric of the service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(NativeParts())
        self._routes = AllRoutes()
        self.registry.register(self._routes)
        self.versions = AllVersions()
        self.registry.register(self.versions)
        self.quarantined = self._counter(
            "rows_quarantined", "Rows scored and quarantined: not in history, windows or training"
        )
        self.swaps = self._counter("swaps", "Changes of the live version")
        self.rollbacks = self._counter("rollbacks", "Rollbacks")
        self.hand_changes = self._counter("hand_changes", "Changes of current_version.txt by hand")
        self.breaker_failures = self._counter(
            "breaker_failures", "Rows the live version failed on and the fallback scored"
        )
        self.breaker_overruns = self._counter(
            "breaker_overruns",
            "Calls in which the live version alone exceeded SCORING_BUDGET_SECONDS",
        )
        self.without_history = self._counter(
            "rows_without_history",
            "Rows scored without history, because it could not be read in time",
        )
        self.breaker_trips = self._counter("breaker_trips", "Rollbacks by the circuit breaker")
        self.idempotency_conflicts = self._counter(
            "idempotency_conflicts",
            "Rows refused with 409: their id was decided with another payload",
        )
        self.forwarded_rows = self._counter(
            "forwarded_rows", "Rows forwarded to the worker that owns their entity"
        )
        self.peer_calls_given_up = self._counter(
            "peer_calls_given_up",
            "Calls that another worker did not answer in time (503 worker-unavailable)",
        )
        self.refusals = self._counter("push_refusals", "Pushes refused", "reason")
        self.dead_lettered = self._counter(
            "journal_set_aside",
            "Dead letters: journal records that the database will never accept",
            "what",
        )
        self.journal_damage = self._counter(
            "journal_damage",
            "Invalid parts of the journal: damaged, missing, unreadable, or torn, which"
            " is what was being written when the process or the machine stopped",
            "kind",
        )
        self._model = self._gauge("model_info", "1 for the version that is served", "version")
        self.workers = self._gauge("workers", "Declared number of workers")
        self.worker_starts = self._gauge("worker_starts", "Starts of this worker, by its number")
        self.worker_hangs = self._counter(
            "worker_hangs", "Kills of this worker because it hung, by its number"
        )
        self.worker_behind = self._gauge(
            "worker_behind", "1 while a worker cannot serve what was promoted"
        )

    def route(self, path: str) -> RouteMetrics:
        return self._routes.route(path)

    def serving(self, version: str, activated_at_us: int) -> None:
        self.versions.activated(version, activated_at_us)
        self._model.clear()
        self._model.labels(version).set(1)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        self._gauge(name, text).set_function(read)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"understudy_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"understudy_{name}", text, labels, registry=self.registry)
