"""24 hours of samples of the metrics of API and scheduler, in memory that is bounded.

The console keeps them itself, so its charts need no Prometheus.
"""

import math
import re
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
import structlog

from shared.errors import UnderstudyError

DAY_SECONDS = 86_400.0
MOST_SERIES = 96
"""Further series are not kept: 96 of a day at one sample in 15 s are 5 MiB."""

_EDGE = frozenset({"le"})
_MAX_TEXT = 4 * 1024 * 1024
_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?", re.ASCII)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
_log = structlog.get_logger()

SAMPLED = frozenset(
    {
        "understudy_requests_total",
        "understudy_version_row_seconds_bucket",
        "understudy_decisions_total",
        "understudy_version_decisions_total",
        "understudy_version_failed_rows_total",
        "understudy_journal_backlog",
        "understudy_swaps_total",
        "understudy_rollbacks_total",
        "understudy_runs_total",
        "understudy_runs_unfinished",
        "process_resident_memory_bytes",
    }
)
"""Families that are kept, summed over all labels but a few; a bucket over all but its edge."""

_KEPT_LABELS = frozenset({"decision", "version", "status", "outcome"})


SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
"""Family and kept labels."""


@dataclass(frozen=True, slots=True)
class Series:
    """One figure over time; NaN where it was not there."""

    name: str
    labels: tuple[tuple[str, str], ...]
    values: Sequence[float]


def parse_samples(text: str) -> dict[SeriesKey, float]:
    """The sampled families of a text of /metrics: name and kept labels -> sum."""
    found: dict[SeriesKey, float] = {}
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name not in SAMPLED or (match := _LINE.fullmatch(line)) is None:
            continue
        kept = _EDGE if name.endswith("_bucket") else _KEPT_LABELS
        given = _LABEL.findall(match[2] or "")
        labels = tuple(sorted((key, value) for key, value in given if key in kept))
        try:
            value = float(match[3])
        except ValueError:
            continue
        found[name, labels] = found.get((name, labels), 0.0) + value
    return found


class Samples:
    """The samples. Safe for threads; `add` is called by one."""

    def __init__(self, period_seconds: float) -> None:
        self.most = max(2, math.ceil(DAY_SECONDS / period_seconds))
        self._lock = threading.Lock()
        self._instants: deque[float] = deque(maxlen=self.most)
        self._series: dict[SeriesKey, deque[float]] = {}
        self.left_out = 0

    def add(self, instant: float, values: Mapping[SeriesKey, float]) -> None:
        """One sample, at a time in seconds since the epoch."""
        with self._lock:
            for key in values:
                if key not in self._series and not self._has_room():
                    self.left_out += 1
                elif key not in self._series:
                    missing = [math.nan] * len(self._instants)
                    self._series[key] = deque(missing, maxlen=self.most)
            self._instants.append(instant)
            for key, kept in self._series.items():
                kept.append(values.get(key, math.nan))

    def _has_room(self) -> bool:
        if len(self._series) < MOST_SERIES:
            return True
        for key, kept in self._series.items():
            if all(math.isnan(value) for value in kept):
                del self._series[key]
                return True
        return False

    def instants(self) -> "array[float]":
        with self._lock:
            return array("d", self._instants)

    def series(self, name: str) -> list[Series]:
        """Every series of a family."""
        with self._lock:
            return [
                Series(known, labels, array("d", values))
                for (known, labels), values in self._series.items()
                if known == name
            ]


class Sampler:
    """A thread that asks for /metrics; what does not answer has a gap."""

    def __init__(
        self,
        samples: Samples,
        sources: Sequence[Callable[[], str]],
        period_seconds: float,
        wall: Callable[[], float],
    ) -> None:
        """`wall` gives seconds since the epoch."""
        self._samples = samples
        self._sources = sources
        self._period_seconds = period_seconds
        self._wall = wall
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def sample(self) -> None:
        """Ask every source once."""
        found: dict[SeriesKey, float] = {}
        for source in self._sources:
            try:
                found |= parse_samples(source()[:_MAX_TEXT])
            except (UnderstudyError, httpx.HTTPError) as error:
                _log.debug("metrics_not_sampled", reason=str(error))
        self._samples.add(self._wall(), found)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self.sample()
            due = max(due + self._period_seconds, time.monotonic())
