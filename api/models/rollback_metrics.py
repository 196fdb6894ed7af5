"""The last rollback, for whoever has to be told: when, from which version, and why."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.registry.ledger import Acceptance
from api.registry.registry import Registry
from shared.clock import MICROS_PER_SECOND

_REASON_CHARACTERS = 200


class LastRollback(Collector):
    """From the ledger, so that every worker, also one that starts later, says the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        told = GaugeMetricFamily(
            "understudy_last_rollback_timestamp_seconds",
            "When a version was left last, for which one, and why",
            labels=("left", "to", "reason"),
        )
        ledger = self._registry.ledger
        left = max(ledger.accepted.values(), key=_left_at_us, default=None)
        last = ledger.served_last
        if left is not None and left.rolled_back_at_us is not None and last is not None:
            reason = (left.rolled_back_reason or "")[:_REASON_CHARACTERS]
            at = left.rolled_back_at_us / MICROS_PER_SECOND
            told.add_metric((left.version, last.version, reason), at)
        return (told,)


def _left_at_us(acceptance: Acceptance) -> int:
    return acceptance.rolled_back_at_us or 0
