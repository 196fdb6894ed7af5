"""Prometheus metrics, in the application's own registry.

Counts of every row are in `api.row_metrics`; these are of what happens now and then.
"""

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from api.row_metrics import AllRoutes, AllVersions, RouteMetrics
from shared.machine_metrics import BuildInfo, NativeParts

# No `_created` series beside every counter: nothing uses them.
disable_created_metrics()  # type: ignore[no-untyped-call]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0
_DELAYS = (
    _MINUTE, _HOUR, 6 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 60 * _DAY,
    90 * _DAY, 180 * _DAY,
)  # fmt: skip
# Label values known in advance: their series start at 0.
_REFUSALS = (
    "bad-signature", "bundle-malformed", "model-unusable", "registry-failed", "rollout-conflict",
    "stale-fencing-number", "too-large", "version-conflict",
)  # fmt: skip
_RECORDS = ("decision", "label")
_DAMAGE = ("damaged", "missing", "torn", "unreadable")
LABEL_OUTCOMES = ("stored", "replaced", "outdated", "queued", "unknown")
"""Results of storing a label; `stored` is the first one of its row, or a repeat."""


class Metrics:
    """Every metric of the service; each counter is there, at 0, from the start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(NativeParts())
        self.registry.register(BuildInfo("api"))
        self._routes = AllRoutes()
        self.registry.register(self._routes)
        self.versions = AllVersions()
        self.registry.register(self.versions)
        self.quarantined = self._counter(
            "rows_quarantined", "Rows scored and quarantined: not in history, windows or training"
        )
        self.swaps = self._counter(
            "swaps", "Changes of the live version, counted by the worker that made them"
        )
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
        self.refusals = self._labelled("push_refusals", "Pushes refused", "reason", _REFUSALS)
        self.labels = self._labelled(
            "labels", "Labels sent to POST /feedback, by outcome", "outcome",
            LABEL_OUTCOMES,
        )  # fmt: skip
        self.label_delay = Histogram(
            "understudy_label_delay_seconds",
            "Time from a row's event until its label became known",
            buckets=_DELAYS,
            registry=self.registry,
        )
        self.dead_lettered = self._labelled(
            "journal_dead_letters",
            "Dead letters: journal records that the database will never accept",
            "what",
            _RECORDS,
        )
        self.journal_damage = self._labelled(
            "journal_damage",
            "Invalid parts of the journal: damaged, missing, unreadable, or torn, which"
            " is what was being written when the process or the machine stopped",
            "kind",
            _DAMAGE,
        )
        self._model = self._gauge("model_info", "1 for the version that is served", "version")
        self.workers = self._gauge("workers", "Declared number of workers")
        self.worker_starts = self._gauge("worker_starts", "Starts of this worker, by its number")
        self.worker_hangs = self._counter(
            "worker_hangs", "Kills of this worker because it hung, by its number"
        )
        self.worker_behind = self._gauge(
            "worker_behind", "1 while a worker cannot serve the live version"
        )

    def route(self, path: str) -> RouteMetrics:
        return self._routes.route(path)

    def row_route(self, path: str) -> RouteMetrics:
        """The counts of a route that scores rows; alerts read them before the first request."""
        self._routes.expect(path)
        return self._routes.route(path)

    def serving(self, version: str, activated_at_us: int, edges: tuple[float, ...]) -> None:
        """`edges` are the bins of the version's scores."""
        self.versions.activated(version, activated_at_us, edges)
        self._model.clear()
        self._model.labels(version).set(1)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        self._gauge(name, text).set_function(read)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"understudy_{name}", text, labels, registry=self.registry)

    def _labelled(self, name: str, text: str, label: str, values: Iterable[str]) -> Counter:
        """A counter of one label, with the values that it may take."""
        counter = self._counter(name, text, label)
        for value in values:
            counter.labels(value)
        return counter

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"understudy_{name}", text, labels, registry=self.registry)
