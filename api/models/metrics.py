"""Metrics of versions: a fresh one beside its predecessor, and the last rollback."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.models.model_slot import ModelSlot
from api.registry.ledger import Acceptance
from api.registry.registry import Registry
from shared.clock import MICROS_PER_SECOND

_LABELS = ("version", "activation", "against")
_BY = ("live", "predecessor")

_REASON_CHARACTERS = 200


class ComparisonMetrics(Collector):
    """A fresh version beside its predecessor; gauges, because they count from the activation."""

    def __init__(self, models: ModelSlot) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        rows = GaugeMetricFamily(
            "understudy_compared_rows",
            "Rows scored by both a fresh version and its predecessor",
            labels=_LABELS,
        )
        seconds = GaugeMetricFamily(
            "understudy_compared_seconds",
            "Seconds that each model took for these rows",
            labels=(*_LABELS, "by"),
        )
        decisions = GaugeMetricFamily(
            "understudy_compared_decisions",
            "Decisions of each about these rows",
            labels=(*_LABELS, "by", "decision"),
        )
        found = self._models.comparison
        if found is not None and not found.is_over:
            activation = str(found.live.activated_at_us // MICROS_PER_SECOND)
            labels = (found.live.version, activation, found.predecessor.version)
            rows.add_metric(labels, found.rows)
            names = sorted({*found.decisions[0], *found.decisions[1]})
            for by, took, made in zip(_BY, found.seconds, found.decisions, strict=True):
                seconds.add_metric((*labels, by), took)
                for name in names:
                    decisions.add_metric((*labels, by, name), made[name])
        return (rows, seconds, decisions)


class LastRollback(Collector):
    """The last rollback, read from the ledger, so that every worker reports the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "understudy_last_rollback_timestamp_seconds",
            "Time of the last rollback: from which version, to which, and why",
            labels=("left", "to", "reason"),
        )
        ledger = self._registry.ledger
        left = max(ledger.accepted.values(), key=_left_at_us, default=None)
        last = ledger.served_last
        if left is not None and left.rolled_back_at_us is not None and last is not None:
            reason = (left.rolled_back_reason or "")[:_REASON_CHARACTERS]
            at = left.rolled_back_at_us / MICROS_PER_SECOND
            family.add_metric((left.version, last.version, reason), at)
        return (family,)


def _left_at_us(acceptance: Acceptance) -> int:
    return acceptance.rolled_back_at_us or 0
