"""Counts of this process on disk, and the sum over all processes for whoever asks.

Each process keeps its own files in RUN_DIR, named after the stage, and never reads its own
back: after a restart it begins a new one and the old one still counts. Who asks adds up
every file of the stage. Users are counted by their hashes, so that one who met two workers
is one user.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import numpy as np
import numpy.typing as npt
import orjson
import structlog

from api.rollout.arm_counts import StageCounts
from shared.system.files import write_whole

_log = structlog.get_logger()
# Enough to see a split that is off by a tenth; the files stay below 160 kB a process.
USERS_COUNTED = 20_000


def arms_dir(run_dir: Path) -> Path:
    return run_dir / "arms"


class Counters:
    """What this process counted in one stage; written now and then by `flush`."""

    def __init__(self, folder: Path, stage_key: str) -> None:
        self.arms = StageCounts()
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


def total(folder: Path, stage_key: str) -> tuple[StageCounts, int, int]:
    """Both arms over all processes, and the users met by the champion and by the candidate."""
    arms = StageCounts()
    for path in folder.glob(f"{stage_key}.*.json"):
        try:
            arms.add(StageCounts.from_json(orjson.loads(path.read_bytes())))
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("rollout_figures_unreadable", file=path.name, error=str(error))
    users = np.unique(np.concatenate([np.empty(0, "<u8"), *_users(folder, stage_key)]))
    in_candidate = int(np.count_nonzero(users & np.uint64(1)))
    return arms, len(users) - in_candidate, in_candidate


def clear_other_stages(folder: Path, stage_key: str) -> None:
    """Remove the files of stages that are over; what stays costs a few kilobytes."""
    for path in (*folder.glob("*.json"), *folder.glob("*.users")):
        if not path.name.startswith(f"{stage_key}."):
            with suppress(OSError):
                path.unlink()


def _users(folder: Path, stage_key: str) -> Iterator[npt.NDArray[np.uint64]]:
    for path in folder.glob(f"{stage_key}.*.users"):
        raw = path.read_bytes()
        # The last number may be half written.
        yield np.frombuffer(raw[: len(raw) // 8 * 8], dtype="<u8")
