"""The heartbeat file of the scheduler: its last beat, and how old that may become."""

import re
from dataclasses import dataclass
from pathlib import Path

from shared.clock import Clock, isoformat
from shared.errors import SettingsError
from shared.system.files import write_whole

# The content of a heartbeat file, or what a power cut may leave: an empty file, or zeros.
_OURS = re.compile(rb"[\x00\s0-9T:Z.-]*")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Beat:
    """The last heartbeat of a scheduler, and how old it may become."""

    at_us: int
    max_age_seconds: float


class HeartbeatFile:
    """Writes the present instant into one file."""

    def __init__(self, path: Path, clock: Clock, max_age_seconds: float) -> None:
        self._path = path
        self._clock = clock
        self._max_age_seconds = max_age_seconds

    def beat(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        now_us = self._clock.now_us()
        content = f"{now_us} {isoformat(now_us)} {self._max_age_seconds:.3f}\n"
        write_whole(self._path, content.encode(), durable=False)


def check_place(path: Path) -> None:
    """Checks that a heartbeat file may be written at this path.

    Raises:
        SettingsError: something else does, which would be overwritten.
    """
    try:
        with path.open("rb") as file:
            is_ours = _OURS.fullmatch(file.read(_LONGEST)) is not None
    except FileNotFoundError:
        return
    except OSError:
        is_ours = False
    if not is_ours:
        raise SettingsError(
            f"HEARTBEAT_FILE: {path} exists and is not a heartbeat file; choose another one"
        )


def read_beat(path: Path) -> Beat | None:
    """The last beat; None when there is no readable one."""
    try:
        at_us, _, max_age_seconds = path.read_text().split()
        return Beat(int(at_us), float(max_age_seconds))
    except (OSError, ValueError):
        return None
