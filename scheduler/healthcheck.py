"""The container's health check: `python -m scheduler.healthcheck` exits 0 while it beats."""

import sys

from scheduler.heartbeat import age_seconds
from scheduler.settings import SchedulerSettings, load_settings
from shared.clock import Clock, SystemClock
from shared.errors import SettingsError


def problem(settings: SchedulerSettings, clock: Clock) -> str | None:
    """The reason the scheduler counts as unhealthy, or None."""
    age = age_seconds(settings.heartbeat_file, clock.now_us())
    if age is None:
        return f"no heartbeat in {settings.heartbeat_file}"
    if age < -settings.heartbeat_max_age_seconds:
        return f"the last heartbeat is {-age:.0f} s in the future: the clock was set back"
    if age > settings.heartbeat_max_age_seconds:
        return f"the last heartbeat is {age:.0f} s old"
    return None


def main() -> int:
    """The exit status: 0 healthy, 1 not, with the reason on standard error."""
    try:
        found = problem(load_settings(), SystemClock())
    except SettingsError as error:
        found = str(error)
    if found is not None:
        sys.stderr.write(f"{found}\n")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main())
