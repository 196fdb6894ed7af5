"""The heartbeat file of the scheduler, and how old the last beat is."""

import re
from pathlib import Path

from shared.clock import MICROS_PER_SECOND, Clock, isoformat
from shared.errors import SettingsError
from shared.system.files import write_whole

# The content of a heartbeat file, or what a power cut may leave: an empty file, or zeros.
_OURS = re.compile(rb"[\x00\s0-9T:Z.-]*")
_LONGEST = 200


class HeartbeatFile:
    """Writes the present instant into one file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def beat(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        now_us = self._clock.now_us()
        write_whole(self._path, f"{now_us} {isoformat(now_us)}\n".encode(), durable=False)


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


def age_seconds(path: Path, now_us: int) -> float | None:
    """Seconds since the last beat; None when there is no readable one."""
    try:
        beat_us = int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return (now_us - beat_us) / MICROS_PER_SECOND
