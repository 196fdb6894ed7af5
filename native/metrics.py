"""Gauges of the native parts that a process uses, for Prometheus."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from native.catalogue import states


class NativeParts(Collector):
    """1 or 0 for each part that this process has needed."""

    def collect(self) -> Iterable[Metric]:
        gauge = GaugeMetricFamily(
            "understudy_native_in_use",
            "1 while the native part is in use, 0 while its fallback is (docs/couplings.md)",
            labels=("part",),
        )
        for name, is_in_use in states().items():
            gauge.add_metric((name,), float(is_in_use))
        return (gauge,)
