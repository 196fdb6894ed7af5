"""The heartbeat: a file renamed into place, so a reader never sees half of it."""

import os
import re
from pathlib import Path

from shared.clock import MICROS_PER_SECOND, Clock, isoformat
from shared.errors import SettingsError

# What beats write, and what a power cut may make of it: nothing, or zeros.
_OURS = re.compile(rb"[\x00\s0-9T:Z.-]*")
_LONGEST = 200


class HeartbeatFile:
    """Writes the present instant into one file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def beat(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        now_us = self._clock.now_us()
        temporary.write_text(f"{now_us} {isoformat(now_us)}\n")
        temporary.replace(self._path)


def check_place(path: Path) -> None:
    """Whether a heartbeat may lie there.

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
            f"HEARTBEAT_FILE: {path} is there already and is no heartbeat; name another file"
        )


def age_seconds(path: Path, now_us: int) -> float | None:
    """Seconds since the last beat; None when there is no readable one."""
    try:
        beat_us = int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return (now_us - beat_us) / MICROS_PER_SECOND
