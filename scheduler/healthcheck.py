"""The container's health check: `python -m scheduler.healthcheck` exits 0 while it beats.

It runs every few seconds for ever. Settings take most of a second of a processor to load, and are
needed only where the environment has no absolute HEARTBEAT_FILE.
"""

import os
import sys
from pathlib import Path

from scheduler.heartbeat import read_beat
from shared.clock import MICROS_PER_SECOND, Clock, SystemClock
from shared.errors import SettingsError


def problem(path: Path, clock: Clock) -> str | None:
    """The reason the scheduler counts as unhealthy, or None."""
    beat = read_beat(path)
    if beat is None:
        return f"no heartbeat in {path}"
    age_seconds = (clock.now_us() - beat.at_us) / MICROS_PER_SECOND
    if age_seconds < -beat.max_age_seconds:
        return f"the last heartbeat is {-age_seconds:.0f} s in the future: the clock was set back"
    if age_seconds > beat.max_age_seconds:
        return f"the last heartbeat is {age_seconds:.0f} s old"
    return None


def heartbeat_file() -> Path:
    """The file of the scheduler with this environment.

    Raises:
        SettingsError: the settings are not valid.
    """
    path = Path(os.environ.get("HEARTBEAT_FILE", ""))
    if path.is_absolute():
        return path
    from scheduler.settings import load_settings  # noqa: PLC0415 - see the module's docstring

    return load_settings().heartbeat_file


def main() -> int:
    """The exit status: 0 healthy, 1 not, with the reason on standard error."""
    try:
        found = problem(heartbeat_file(), SystemClock())
    except SettingsError as error:
        found = str(error)
    if found is not None:
        sys.stderr.write(f"{found}\n")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main())
