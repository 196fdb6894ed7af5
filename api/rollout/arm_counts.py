"""Counts of both arms: cheap to add to, summable over workers, small on disk.

Sums are kept for 64 groups of users instead of one total: rows of one user are correlated, and only
the spread between groups gives a mean's standard error. See `api.rollout.arm_statistics`.

Each process keeps its own files in RUN_DIR, named after the stage, and never reads its own back:
after a restart it begins a new one and the old one still counts. A reader adds up every file of the
stage. Users are counted by their hashes, so that a user with rows on two workers is one user.
"""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import structlog

from shared.system.files import write_whole

# Groups of users, see above; `api.rollout.canary` assigns them.
GROUPS = 64
SCORE_EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
"""Most scores of a rare class are small, so the bins are finer there.

Below 1 % two good models differ by what their recipes make of certainty: of one, 63 % of the
scores were below .001, and of a better one 8 %.
"""
LATENCY_EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0)
LATENCY_CAP_MS = 1_000.0
"""Times are capped: one row that waited for a disk must not dominate the mean of an hour."""
_LATENCY_BINS = len(LATENCY_EDGES_MS) + 1

# the largest number that is exact as a float
_MOST = 2**53

_log = structlog.get_logger()
OTHER_HOSTS = "host-"
"""The mark in names of files that came from another host."""
# Enough to detect a split that is wrong by a tenth; at most 160 kB a process.
USERS_COUNTED = 20_000


@dataclass(slots=True)
class ArmCounts:
    """Counts of one arm in one stage.

    Attributes:
        errors: rows that the arm's model failed to score.
        rows: rows scored, by group; alerts and score bins are of these.
        timed: rows whose latency is in `latency_ms`; rows of batches have no separate latency.
        edges: of the score bins; from the champion's predictions where these are not probabilities,
            or all of them would lie in one bin.
    """

    errors: int = 0
    edges: tuple[float, ...] = SCORE_EDGES
    rows: list[int] = field(default_factory=lambda: [0] * GROUPS)
    alerts: list[int] = field(default_factory=lambda: [0] * GROUPS)
    bins: list[int] = field(default_factory=list)
    timed: list[int] = field(default_factory=lambda: [0] * GROUPS)
    latency_ms: list[float] = field(default_factory=lambda: [0] * GROUPS)
    latency_squares: float = 0.0
    latency_bins: list[int] = field(default_factory=lambda: [0] * _LATENCY_BINS)

    def __post_init__(self) -> None:
        if not self.bins:
            self.bins = [0] * (GROUPS * (len(self.edges) + 1))

    def scored(self, group: int, score: float, *, is_alert: bool) -> None:
        self.rows[group] += 1
        edges = self.edges
        self.bins[group * (len(edges) + 1) + bisect_right(edges, score)] += 1
        if is_alert:
            self.alerts[group] += 1

    def took(self, group: int, milliseconds: float) -> None:
        milliseconds = min(milliseconds, LATENCY_CAP_MS)
        self.timed[group] += 1
        self.latency_ms[group] += milliseconds
        self.latency_squares += milliseconds * milliseconds
        self.latency_bins[bisect_right(LATENCY_EDGES_MS, milliseconds)] += 1

    def add(self, other: "ArmCounts") -> None:
        """Add what another worker counted."""
        if self.edges != other.edges:
            if any(self.rows):
                raise ValueError("the score bins have other edges")
            self.edges, self.bins = other.edges, [0] * len(other.bins)
        self.errors += other.errors
        self.latency_squares += other.latency_squares
        for name in ("rows", "alerts", "bins", "timed", "latency_ms", "latency_bins"):
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, [a + b for a, b in zip(mine, theirs, strict=True)])

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ArmCounts":
        """Raises KeyError, TypeError or ValueError when this program did not write it."""
        known = {name: stored[name] for name in cls.__slots__}
        counts = cls(**known | {"edges": tuple(map(float, stored["edges"]))})
        # Raises if another release wrote lists of another length.
        cls(edges=counts.edges).add(counts)
        _check_numbers(counts)
        return counts


def _check_numbers(counts: ArmCounts) -> None:
    """Raises ValueError if a figure is not a count, of which no statistics can be made.

    Files of other hosts come through a store, and a writer to the store could make
    GET /current_model fail on every host.
    """
    lists = (counts.rows, counts.alerts, counts.bins, counts.timed, counts.latency_bins)
    numbers = [counts.errors, *chain.from_iterable(lists)]
    if not all(type(number) is int and 0 <= number <= _MOST for number in numbers):
        raise ValueError("a count is not a whole number from 0 on")
    sums = (*counts.latency_ms, counts.latency_squares)
    if not (all(0 <= number <= _MOST for number in sums) and all(map(isfinite, counts.edges))):
        raise ValueError("a sum or an edge is not a finite number")


@dataclass(slots=True)
class StageCounts:
    """Both arms of a stage, and how the process of a shadow fares.

    Attributes:
        dropped: rows that the shadow's queue had no room for.
        restarts: how often that process was started again.
        gave_up: why it is not started any more.
    """

    champion: ArmCounts = field(default_factory=ArmCounts)
    candidate: ArmCounts = field(default_factory=ArmCounts)
    dropped: int = 0
    restarts: int = 0
    gave_up: str | None = None

    def add(self, other: "StageCounts") -> None:
        self.champion.add(other.champion)
        self.candidate.add(other.candidate)
        self.dropped += other.dropped
        self.restarts += other.restarts
        self.gave_up = self.gave_up or other.gave_up

    def to_json(self) -> dict[str, Any]:
        return {
            "champion": self.champion.to_json(),
            "candidate": self.candidate.to_json(),
            "dropped": self.dropped,
            "restarts": self.restarts,
            "gave_up": self.gave_up,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "StageCounts":
        """Raises KeyError, TypeError or ValueError when this program did not write it."""
        return cls(
            champion=ArmCounts.from_json(stored["champion"]),
            candidate=ArmCounts.from_json(stored["candidate"]),
            dropped=int(stored["dropped"]),
            restarts=int(stored["restarts"]),
            gave_up=stored["gave_up"],
        )


def arms_dir(run_dir: Path) -> Path:
    return run_dir / "arms"


class Counters:
    """Counts of this process in one stage; written periodically by `flush`."""

    def __init__(
        self, folder: Path, stage_key: str, edges: tuple[float, ...] = SCORE_EDGES
    ) -> None:
        self.arms = StageCounts(ArmCounts(edges=edges), ArmCounts(edges=edges))
        self.lock = threading.Lock()
        self._folder = folder
        self._stem = f"{stage_key}.{token_hex(4)}"
        self._units: set[int] = set()
        self._new_units: list[int] = []
        self._written = b""
        self._is_writable = True

    def met(self, unit: int, *, in_candidate: bool) -> None:
        """A user had a row in this arm."""
        marked = unit << 1 | in_candidate
        if marked not in self._units and len(self._units) < USERS_COUNTED:
            self._units.add(marked)
            self._new_units.append(marked)

    def flush(self) -> None:
        """Write what is new; a failure is logged once and costs figures, not answers."""
        with self.lock:
            content = orjson.dumps(self.arms.to_json())
            units, self._new_units = self._new_units, []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if content != self._written:
                write_whole(self._folder / f"{self._stem}.json", content, durable=False)
                self._written = content
            if units:
                with (self._folder / f"{self._stem}.users").open("ab") as file:
                    file.write(np.array(units, dtype="<u8").tobytes())
            self._is_writable = True
        except OSError as error:
            self._new_units = units + self._new_units
            if self._is_writable:
                _log.warning("rollout_figures_not_written", error=error.strerror)
            self._is_writable = False


def total(folder: Path, stage_key: str, *, own: bool = False) -> tuple[StageCounts, int, int]:
    """Both arms over all processes, and the users met by the champion and by the candidate.

    `own`: of this host alone.
    """
    users = _users(folder, stage_key, own=own)
    in_candidate = int(np.count_nonzero(users & np.uint64(1)))
    return _arms(folder, stage_key, own=own), len(users) - in_candidate, in_candidate


def own_counts(folder: Path, stage_key: str) -> tuple[bytes, bytes]:
    """Counts and users of this host, as another host's files have them."""
    arms = orjson.dumps(_arms(folder, stage_key, own=True).to_json())
    return arms, _users(folder, stage_key, own=True).tobytes()


def _arms(folder: Path, stage_key: str, *, own: bool) -> StageCounts:
    arms = StageCounts()
    for path in _files(folder, f"{stage_key}.*.json", own=own):
        try:
            arms.add(StageCounts.from_json(orjson.loads(path.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("rollout_figures_unreadable", file=path.name, error=str(error))
    return arms


def clear_other_stages(folder: Path, stage_key: str) -> None:
    """Remove the files of stages that are over; what stays costs a few kilobytes."""
    for path in (*folder.glob("*.json"), *folder.glob("*.users")):
        if not path.name.startswith(f"{stage_key}."):
            with suppress(OSError):
                path.unlink()


def _users(folder: Path, stage_key: str, *, own: bool) -> npt.NDArray[np.uint64]:
    """Each once, marked with its arm."""
    found = [np.empty(0, "<u8")]
    for path in _files(folder, f"{stage_key}.*.users", own=own):
        raw = path.read_bytes()
        # The last number may be written in part only.
        found.append(np.frombuffer(raw[: len(raw) // 8 * 8], dtype="<u8"))
    return np.unique(np.concatenate(found))


def _files(folder: Path, pattern: str, *, own: bool) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if not (own and f".{OTHER_HOSTS}" in path.name))
