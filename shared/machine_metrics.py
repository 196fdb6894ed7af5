"""Metrics of the build, native parts, the disks and the wall clock, the same for both services."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import make_url

from native.catalogue import states as states_of_parts
from shared.clock import SETTLE_SECONDS, ClockState, MachineClock
from shared.system.files import disk_space, existing_folder
from shared.version import VERSION


class BuildInfo(Collector):
    """The running program: a gauge of 1 with its version."""

    def __init__(self, service: str) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily(
            "understudy_build_info",
            "1 for the program that runs",
            labels=("service", "version", "python"),
        )
        info.add_metric((self._service, VERSION, platform.python_version()), 1)
        return (info,)


class NativeParts(Collector):
    """1 or 0 for each part that this process has needed."""

    def collect(self) -> Iterable[Metric]:
        gauge = GaugeMetricFamily(
            "understudy_native_in_use",
            "1 while the native part is in use, 0 while its fallback is (docs/couplings.md)",
            labels=("part",),
        )
        for name, is_in_use in states_of_parts().items():
            gauge.add_metric((name,), float(is_in_use))
        return (gauge,)


class DiskMetrics(Collector):
    """The disks that a process writes to; folders of one disk report the same."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` by what is kept in them: journal, database, ..."""
        self._folders = folders

    def collect(self) -> Iterable[Metric]:
        free = GaugeMetricFamily(
            "understudy_disk_free_bytes", "Free bytes on the disk of a folder", labels=("folder",)
        )
        size = GaugeMetricFamily(
            "understudy_disk_size_bytes", "Size of the disk of a folder", labels=("folder",)
        )
        for name, folder in self._folders.items():
            disk = disk_space(existing_folder(folder))
            if disk is not None:
                free.add_metric((name,), disk.free_bytes)
                size.add_metric((name,), disk.total_bytes)
        return (free, size)


def sqlite_folder(database_url: str) -> Path | None:
    """The folder of an SQLite database; None: it is elsewhere, or in memory."""
    url = make_url(database_url)
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).parent if is_file else None


# Time for which the warning is shown after a jump was followed.
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
            f"s ago; timestamps go on by elapsed time, and follow the clock when it has stayed for "
            f"{SETTLE_SECONDS:.0f} s"
        )
    ago = standing.last_jump_ago_seconds
    if ago is not None and ago < TELL_SECONDS:
        return (
            f"the wall clock was set by {standing.last_jump_seconds:+,.1f} s and followed "
            f"{ago:.0f} s ago; look at the machine's time service"
        )
    return None
