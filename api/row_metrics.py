"""Counts of every request and every row: plain integers, read when Prometheus asks.

A counter of the Prometheus client takes a lock and a loop over the buckets for each answer. All
rows are counted on the event loop, or by the one thread that scores meanwhile.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.clock import MICROS_PER_SECOND
from shared.tasks.observed import PROBABILITY_EDGES

BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
# Statuses used in the ratios of alerts: their series start at 0.
_EXPECTED_STATUSES = (200, 500, 503)
# Activations with separate counts, and versions with totals; without a bound /metrics would
# grow with every promotion.
_ACTIVATIONS, _VERSIONS = 8, 32
# Decisions with a series of their own; a recommender would have one for each item.
_DECISIONS, _OTHER = 50, "other"
# Rows scored by a version that was never live here: on trial, or as a fallback.
_NEVER_ACTIVATED = ""
_REVIEW, _IS_OUTLIER = "review", "is_outlier"


AnsweredRow = tuple[str, str, float, float, Mapping[str, Any]]
"""A recorded row: the version that answered it, its decision, the seconds from the complete request
to the journal record, its score, and the answer, of which `is_outlier` is counted. A plain tuple,
because one is made for every row.
"""


class RouteMetrics:
    """Counts of one route."""

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


class AllRoutes(Collector):
    """The counts of every route."""

    def __init__(self) -> None:
        self._routes: dict[str, RouteMetrics] = {}

    def route(self, path: str) -> RouteMetrics:
        return self._routes.setdefault(path, RouteMetrics())

    def expect(self, path: str) -> None:
        """Show the statuses of a route of rows as 0 until they are answered."""
        statuses = self.route(path).statuses
        for status in _EXPECTED_STATUSES:
            statuses.setdefault(status, 0)

    def collect(self) -> Iterable[Metric]:
        answers = CounterMetricFamily(
            "understudy_requests", "Answers given", labels=("route", "status")
        )
        times = HistogramMetricFamily(
            "understudy_request_seconds", "Time to the response", labels=("route",)
        )
        for path, counts in list(self._routes.items()):
            for status, number in list(counts.statuses.items()):
                answers.add_metric((path, str(status)), number)
            times.add_metric((path,), _running(BUCKETS, counts.buckets), counts.seconds)
        return (answers, times)


class ActivationCounts:
    """Rows of one version since its activation."""

    __slots__ = ("activation", "buckets", "failed", "seconds")

    def __init__(self, activation: str) -> None:
        self.activation = activation
        self.failed = 0
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class VersionTotals:
    """Rows of one version since the start, whatever was live in between."""

    __slots__ = ("decisions", "edges", "outliers", "score_sum", "scores")

    def __init__(self, edges: tuple[float, ...], decisions: Sequence[str] = ()) -> None:
        self.edges = edges
        self.scores = [0] * (len(edges) + 1)
        self.score_sum = 0.0
        self.outliers = 0
        self.decisions = dict.fromkeys(decisions, 0)

    def counts(self, decision: str) -> str:
        """The name under which a decision is counted."""
        is_known = decision in self.decisions or len(self.decisions) < _DECISIONS
        return decision if is_known else _OTHER


class AllVersions(Collector):
    """The counts of the versions that answered last."""

    def __init__(self) -> None:
        self._decisions: Sequence[str] = ()
        self._activations: dict[str, ActivationCounts] = {}
        self._totals: dict[str, VersionTotals] = {}
        self._edges: tuple[float, ...] = PROBABILITY_EDGES
        self._latest = ("", ActivationCounts(_NEVER_ACTIVATED), VersionTotals(self._edges))

    def expect(self, decisions: Sequence[str]) -> None:
        """Show these decisions as 0 until a version has made them."""
        self._decisions = decisions

    def activated(
        self, version: str, activated_at_us: int, edges: tuple[float, ...] = PROBABILITY_EDGES
    ) -> None:
        """Count the rows of a version from zero, unless it is the same activation.

        `edges` are the bins of its scores, and of versions that are never activated.
        """
        self._edges = edges
        activation = str(activated_at_us // MICROS_PER_SECOND)
        known = self._activations.get(version)
        if known is None or known.activation != activation:
            self._begin(version, activation)

    def answered(self, rows: Iterable[AnsweredRow]) -> None:
        latest = self._latest
        for version, decision, seconds, score, body in rows:
            if version != latest[0]:
                latest = self._of(version)
            _, counts, totals = latest
            counts.buckets[bisect_left(BUCKETS, seconds)] += 1
            counts.seconds += seconds
            made = totals.decisions
            if decision in made:
                made[decision] += 1
            else:
                name = totals.counts(decision)
                made[name] = made.get(name, 0) + 1
            totals.scores[bisect_left(totals.edges, score)] += 1
            totals.score_sum += score
            if body.get(_IS_OUTLIER):
                totals.outliers += 1

    def failed(self, version: str, rows: int) -> None:
        """Rows that the version could not answer and another one could."""
        self._of(version)[1].failed += rows

    def rows_of(self, version: str) -> int:
        """Rows answered since the activation, or the start of the process."""
        counts = self._activations.get(version)
        return 0 if counts is None else sum(counts.buckets)

    def collect(self) -> Iterable[Metric]:
        return (*self._of_activations(), *self._of_versions())

    def _of_activations(self) -> Iterable[Metric]:
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
        for version, counts in list(self._activations.items()):
            names = (version, counts.activation)
            failed.add_metric(names, counts.failed)
            times.add_metric(names, _running(BUCKETS, counts.buckets), counts.seconds)
        return (failed, times)

    def _of_versions(self) -> Iterable[Metric]:
        labels = ("version",)
        made = CounterMetricFamily(
            "understudy_decisions", "Rows scored and recorded", labels=(*labels, "decision")
        )
        outliers = CounterMetricFamily(
            "understudy_outliers",
            "Scored rows that are outliers: unlike the training rows",
            labels=labels,
        )
        reviews = CounterMetricFamily(
            "understudy_reviews", "Scored rows that a person has to review", labels=labels
        )
        scores = HistogramMetricFamily(
            "understudy_score",
            "Scores: probabilities, or values in bins of the version's own predictions",
            labels=labels,
        )
        for version, totals in list(self._totals.items()):
            for decision, number in list(totals.decisions.items()):
                made.add_metric((version, decision), number)
            outliers.add_metric((version,), totals.outliers)
            reviews.add_metric((version,), totals.decisions.get(_REVIEW, 0))
            scores.add_metric((version,), _running(totals.edges, totals.scores), totals.score_sum)
        return (made, outliers, reviews, scores)

    def _of(self, version: str) -> tuple[str, ActivationCounts, VersionTotals]:
        """Nearly always that of the row before."""
        if version != self._latest[0]:
            counts, totals = self._activations.get(version), self._totals.get(version)
            if counts is None or totals is None:
                self._begin(version, _NEVER_ACTIVATED)
            else:
                self._latest = (version, counts, totals)
        return self._latest

    def _begin(self, version: str, activation: str) -> None:
        counts = ActivationCounts(activation)
        totals = self._totals.get(version) or VersionTotals(self._edges, self._decisions)
        _keep_newest(self._activations, version, counts, _ACTIVATIONS)
        _keep_newest(self._totals, version, totals, _VERSIONS)
        self._latest = (version, counts, totals)


def _keep_newest(kept: dict[str, Any], version: str, counts: object, most: int) -> None:
    kept.pop(version, None)
    for old in list(kept)[: max(0, len(kept) + 1 - most)]:
        del kept[old]
    kept[version] = counts


def _running(edges: Sequence[float], buckets: Sequence[int]) -> list[tuple[str, float]]:
    names = [*map(str, edges), "+Inf"]
    return [(name, float(number)) for name, number in zip(names, accumulate(buckets), strict=True)]
