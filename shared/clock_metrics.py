"""Jumps of the wall clock as figures and words, the same for both services."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.machine_clock import SETTLE_SECONDS, ClockState, MachineClock

# After a jump was followed, the warning is shown for this long.
TELL_SECONDS = 600.0


class ClockMetrics(Collector):
    """Metrics of the machine's clock as one process sees it."""

    def __init__(self, clock: MachineClock) -> None:
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        standing = self._clock.standing()
        jumps = CounterMetricFamily(
            "understudy_clock_jumps",
            "Jumps of the wall clock that were followed",
            labels=["direction"],
        )
        jumps.add_metric(["forward"], standing.jumps_forward)
        jumps.add_metric(["back"], standing.jumps_back)
        yield jumps
        spikes = CounterMetricFamily(
            "understudy_clock_spikes",
            "Jumps of the wall clock that went back before they were followed",
        )
        spikes.add_metric([], standing.spikes)
        yield spikes
        gap = GaugeMetricFamily(
            "understudy_clock_gap_seconds", "How far the wall clock is ahead of the clock in use"
        )
        gap.add_metric([], standing.gap_seconds)
        yield gap


def clock_trouble(standing: ClockState) -> str | None:
    """The current warning about the clock; None when all is well."""
    if standing.gap_seconds:
        return (
            f"the wall clock jumped by {standing.gap_seconds:+,.1f} s {standing.since_seconds:.0f} "
            f"s ago; instants go on by elapsed time, and follow it when it has stayed for "
            f"{SETTLE_SECONDS:.0f} s"
        )
    ago = standing.last_jump_ago_seconds
    if ago is not None and ago < TELL_SECONDS:
        return (
            f"the wall clock was set by {standing.last_jump_seconds:+,.1f} s and followed "
            f"{ago:.0f} s ago; look at the machine's time service"
        )
    return None
