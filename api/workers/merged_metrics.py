"""/metrics of several workers: the one that is asked adds what the others published.

Every series carries `worker`: a sum over workers that come and go would make counters fall.
The figures of the others are at most as old as the pause between two notes.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.metrics import Metrics
from api.workers.run_dir import RunDir

PUBLISH_SECONDS = 1.0
_METRICS = "figures"
Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


class MergedMetrics:
    """The body of GET /metrics."""

    def __init__(self, metrics: Metrics, run_dir: RunDir) -> None:
        self._metrics = metrics
        self._run_dir = run_dir

    def publish(self) -> None:
        """Leave this worker's figures where the others find them."""
        if self._run_dir.total > 1:
            self._run_dir.publish(_METRICS, {"families": list(self._own())})

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        if self._run_dir.total == 1:
            return self._metrics.render()
        reports = self._run_dir.reports(_METRICS)
        families = {number: content["families"] for number, content in reports.items()}
        families[self._run_dir.number] = self._own()
        registry = CollectorRegistry()
        registry.register(_Merged(families))
        return generate_latest(registry)

    def _own(self) -> Iterator[Family]:
        for family in self._metrics.registry.collect():
            samples = [(one.name, one.labels, one.value) for one in family.samples]
            yield family.name, family.documentation, family.type, samples


class _Merged(Collector):
    """Families of several workers, each sample under its worker's number."""

    def __init__(self, families: dict[int, Iterable[Any]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for number, families in sorted(self._families.items()):
            for name, text, kind, samples in families:
                metric = merged.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in samples:
                    known = float("nan") if value is None else value
                    metric.add_sample(sample, {**labels, "worker": str(number)}, known)
        return merged.values()
