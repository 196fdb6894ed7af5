"""/metrics of several workers: the one that is asked adds what the others published.

Every series carries `worker`, so that a sum over workers that come and go cannot fall. A worker
goes on from the counts of the process that had its number before, as they were published last:
once a second, and whenever they were shown. So a counter never runs backwards when a worker dies;
what it counted within its last second is lost.

Rendering holds the interpreter for milliseconds. All requests at one time share a rendering, and
there are pauses between two: no answer is older than its request, and a thousand concurrent
requests cost little more than one.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.metrics import Metrics
from api.workers.run_dir import RunDir

PUBLISH_SECONDS = 1.0
_METRICS = "figures"
_OURS = "understudy_"
# Counts kept outside the process: by the supervisor, and in the files of a rollout.
_KEPT_ELSEWHERE = ("understudy_worker_hangs", "understudy_rollout_", "understudy_shadow_")
_CUMULATIVE = frozenset({"counter", "histogram"})
# Versions of earlier processes that stay in the counts; unbounded, each restart would add some.
_VERSIONS_KEPT = 8
Sample = tuple[str, dict[str, str], float | None]
Family = tuple[str, str, str, list[Sample]]
SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
# Pause after a rendering, as a multiple of its duration: leaves time for other work.
_PAUSE_TIMES = 4.0
_LONGEST_PAUSE_SECONDS = 0.25


class MergedMetrics:
    """The body of GET /metrics."""

    def __init__(self, metrics: Metrics, run_dir: RunDir) -> None:
        self._metrics = metrics
        self._run_dir = run_dir
        left = run_dir.left_behind(_METRICS) if run_dir.total > 1 else None
        self._before = CountsBefore(() if left is None else left.get("families", ()))

    def publish(self) -> None:
        """Leave this worker's figures where the others find them, and its successor."""
        if self._run_dir.total > 1:
            self._published()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        if self._run_dir.total == 1:
            return self._metrics.render()
        # Publish before responding: a successor must not continue from lower counts.
        own = self._published()
        reports = self._run_dir.reports(_METRICS)
        families = {number: content["families"] for number, content in reports.items()}
        families[self._run_dir.number] = own
        registry = CollectorRegistry()
        registry.register(_Merged(families))
        return generate_latest(registry)

    def _published(self) -> list[Family]:
        own = list(self._before.added_to(self._own()))
        self._run_dir.publish(_METRICS, {"families": own})
        return own

    def _own(self) -> Iterator[Family]:
        for family in self._metrics.registry.collect():
            samples: list[Sample] = [(one.name, one.labels, one.value) for one in family.samples]
            yield family.name, family.documentation, family.type, samples


class CountsBefore:
    """The counts of the processes that had this worker's number before."""

    def __init__(self, families: Iterable[Any]) -> None:
        """`families` as they were published; what does not count up is left out."""
        self._families: dict[str, Family] = {}
        for name, text, kind, samples in families:
            counted = kind in _CUMULATIVE and not name.startswith(_KEPT_ELSEWHERE)
            if counted and name.startswith(_OURS):
                self._families[name] = (name, text, kind, _newest_versions(samples))

    def added_to(self, families: Iterable[Family]) -> Iterator[Family]:
        """The same families with the earlier counts in them."""
        rest = dict(self._families)
        for name, text, kind, samples in families:
            before = rest.pop(name, None)
            yield (name, text, kind, samples if before is None else _sum(before[3], samples))
        yield from rest.values()


def _sum(before: Iterable[Sample], now: Iterable[Sample]) -> list[Sample]:
    total: dict[SeriesKey, Sample] = {_key(sample): sample for sample in before}
    for name, labels, value in now:
        key = _key((name, labels, value))
        # moved to the end: ordered by the last response
        known = total.pop(key, None)
        if known is not None:
            value = (value or 0.0) + (known[2] or 0.0)  # noqa: PLW2901 - the same sample
        total[key] = (name, labels, value)
    return list(total.values())


def _key(sample: Sample) -> SeriesKey:
    name, labels, _ = sample
    return name, tuple(sorted(labels.items()))


def _newest_versions(samples: Iterable[Sample]) -> list[Sample]:
    """The series without those of old versions; versions come in the order of their last answer."""
    found = [(name, dict(labels), value) for name, labels, value in samples]
    named = (labels["version"] for _, labels, _ in found if "version" in labels)
    versions = list(dict.fromkeys(named))
    kept = {None, *versions[-_VERSIONS_KEPT:]}
    return [sample for sample in found if sample[1].get("version") in kept]


class _Merged(Collector):
    """Families of several workers, each sample under its worker's number."""

    def __init__(self, families: Mapping[int, Iterable[Any]]) -> None:
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


class SharedRendering:
    """Renders on a separate thread; everything else happens on one event loop."""

    def __init__(self, render: Callable[[], bytes], name: str) -> None:
        self._render = render
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[bytes] | None = None
        self._free_at = 0.0

    async def __call__(self) -> bytes:
        """A rendering that begins after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._rendered())
        # shield: cancelling one waiting request must not cancel the others' rendering
        return await asyncio.shield(self._next)

    async def _rendered(self) -> bytes:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
            # requests that arrive from here on get a new rendering
            self._next = None
            began = loop.time()
            text = await loop.run_in_executor(self._thread, self._render)
            took = loop.time() - began
            self._free_at = loop.time() + min(_PAUSE_TIMES * took, _LONGEST_PAUSE_SECONDS)
            return text
