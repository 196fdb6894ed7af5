"""Rows by the version that answered them, counted in plain integers since its activation.

A label `activation`, in seconds since the epoch, keeps the rows of a version's earlier time in
service apart: what it did then is no reason to leave it now.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.clock import MICROS_PER_SECOND

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# Versions whose figures are told; more would make /metrics grow with every promotion.
_KEPT = 8
# Answers of a version that was never in service here: on trial, or in another's stead.
_NEVER_ACTIVATED = ""


AnsweredRow = tuple[str, str, float]
"""The version that answered a row, its decision, and the seconds it took."""


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
        self._past: Counter[str] = Counter()
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
            "Rows that a version failed on and its fallback answered",
            labels=labels,
        )
        times = HistogramMetricFamily(
            "understudy_version_row_seconds", "Time to a row's record, by version", labels=labels
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
        total = Counter(self._past)
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
