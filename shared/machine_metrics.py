"""Metrics of the build and of the disks, the same for both services."""

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import make_url

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


class DiskMetrics(Collector):
    """The disks that a process writes to; folders of one disk report the same."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` by what is kept in them: journal, database, ..."""
        self._folders = folders

    def collect(self) -> Iterable[Metric]:
        free = GaugeMetricFamily(
            "understudy_disk_free_bytes", "Free on the disk of a folder", labels=("folder",)
        )
        size = GaugeMetricFamily(
            "understudy_disk_size_bytes", "Size of the disk of a folder", labels=("folder",)
        )
        for name, folder in self._folders.items():
            try:
                disk = os.statvfs(_existing(folder))
            except OSError:
                # not readable: what writes there will show
                continue
            free.add_metric((name,), disk.f_bavail * disk.f_frsize)
            size.add_metric((name,), disk.f_blocks * disk.f_frsize)
        return (free, size)


def sqlite_folder(database_url: str) -> Path | None:
    """The folder of an SQLite database; None: it is elsewhere, or in memory."""
    url = make_url(database_url)
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)).parent if is_file else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there already."""
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)
