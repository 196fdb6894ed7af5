"""The peak memory of a process and its children, and of a disk, watched from outside (Linux)."""

import shutil
import threading
from pathlib import Path
from typing import Self

from scheduler.child_runner import descendants
from shared.clock import SystemClock

KIB = 1024
SAMPLE_SECONDS = 0.1
DISK_SAMPLE_SECONDS = 2.0


class _Sampled:
    """Looks at something again and again while a block lasts, in a thread of its own."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self._seconds):
            self._look()

    def _look(self) -> None:
        raise NotImplementedError


class MemoryWatch(_Sampled):
    """Samples while the block lasts; `peak_bytes` counts the children of each instant too.

    A process's own high-water mark is exact; what children hold is sampled.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(SAMPLE_SECONDS)
        self.peak_bytes = 0
        # without pages of mapped files, which the kernel takes back when it needs the room
        self.peak_anonymous_bytes = 0
        self._samples: list[tuple[int, int]] = []
        self._pid = pid

    def peak_between(self, begin_us: int, end_us: int) -> int:
        """The most that was seen between two instants; 0 where they lie between two samples.

        It is what was held at that time: not the process's own high-water mark.
        """
        return max((size for at, size in self._samples if begin_us <= at <= end_us), default=0)

    def _look(self) -> None:
        own, below = _field(self._pid, "VmHWM"), descendants(self._pid)
        children = sum(_field(pid, "VmRSS") for pid in below)
        self.peak_bytes = max(self.peak_bytes, own + children)
        anonymous = sum(_field(pid, "RssAnon") for pid in (self._pid, *below))
        self.peak_anonymous_bytes = max(self.peak_anonymous_bytes, anonymous)
        held = _field(self._pid, "VmRSS") + children
        self._samples.append((SystemClock().now_us(), held))


class DiskWatch(_Sampled):
    """Samples what is used of a folder's disk; `peak_bytes` is the most beyond the beginning."""

    def __init__(self, folder: Path) -> None:
        super().__init__(DISK_SAMPLE_SECONDS)
        self.peak_bytes = 0
        self._folder = folder
        self._began_bytes = shutil.disk_usage(folder).used

    def _look(self) -> None:
        used = shutil.disk_usage(self._folder).used
        self.peak_bytes = max(self.peak_bytes, used - self._began_bytes)


def peak_mib(pid: int) -> float:
    """The highest resident size of a process so far, in MiB."""
    return round(_field(pid, "VmHWM") / (KIB * KIB), 1)


def forget_peak(pid: int) -> None:
    """Reset the highest resident size."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _field(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found[0]) * KIB if found else 0
