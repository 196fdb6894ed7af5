"""Figures for Prometheus, in a registry of the application's own."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from api.route_metrics import AllRoutes, RouteMetrics
from api.version_metrics import AllVersions
from native.metrics import NativeParts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Every figure of the service."""

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
            "rows_quarantined", "Rows scored and kept out of history, windows and training"
        )
        self.swaps = self._counter("swaps", "Versions taken into service")
        self.rollbacks = self._counter("rollbacks", "Steps back to an older version")
        self.hand_changes = self._counter(
            "hand_changes", "Times that current_version.txt was changed by hand"
        )
        self.breaker_failures = self._counter(
            "breaker_failures", "Rows that what serves could not score and another version could"
        )
        self.breaker_overruns = self._counter(
            "breaker_overruns",
            "Calls in which the live version alone exceeded SCORING_BUDGET_SECONDS",
        )
        self.without_history = self._counter(
            "rows_without_history", "Rows scored although their history could not be read in time"
        )
        self.breaker_trips = self._counter("breaker_trips", "Steps back by the process itself")
        self.idempotency_conflicts = self._counter(
            "idempotency_conflicts", "Rows refused: their id was decided with another payload"
        )
        self.forwarded_rows = self._counter(
            "forwarded_rows", "Rows handed to the worker that owns their entity"
        )
        self.peer_calls_given_up = self._counter(
            "peer_calls_given_up", "Calls that another worker did not answer in time"
        )
        self.refusals = self._counter("push_refusals", "Pushes refused", "reason")
        self.dead_lettered = self._counter(
            "journal_set_aside", "Records the database will never take", "what"
        )
        self.journal_damage = self._counter(
            "journal_damage",
            "Parts of the journal that are no record: damaged, missing, unreadable, or torn, which"
            " is what was being written when the process or the machine stopped",
            "kind",
        )
        self._model = self._gauge("model_info", "1 for the version that is served", "version")
        self.workers = self._gauge("workers", "Processes there are meant to be")
        self.worker_starts = self._gauge("worker_starts", "Starts of this worker, by its number")
        self.worker_hangs = self._counter(
            "worker_hangs", "Times a worker of this number hung and was ended"
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
