"""What has to be there before work can begin: the database, and the token the API makes."""

from collections.abc import Callable

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.heartbeat import Heartbeat
from scheduler.schedule.outage import Outage
from scheduler.scoring_api import HttpScoringApi
from scheduler.settings import Settings
from shared.clock import SystemClock
from shared.errors import DataUnavailable, SettingsError
from shared.keys.tokens import Role, read_token
from shared.tables.engine import migrate

RETRY_SECONDS = 2.0


def wait_for_surroundings(
    settings: Settings, engine: Engine, interruption: Interruption, log: FilteringBoundLogger
) -> None:
    """Wait for what others provide: a database to migrate, and the API's push token."""
    heartbeat = Heartbeat(settings.heartbeat_file, SystemClock())
    waiting: tuple[tuple[Outage, Callable[[], object]], ...] = (
        (Outage("database", log), lambda: migrate(engine)),
        (Outage("push_token", log), lambda: push_token(settings)),
    )
    for outage, attempt in waiting:
        while not interruption.requested:
            heartbeat.beat()
            try:
                attempt()
            except DataUnavailable as error:
                outage.away(error)
                interruption.wait(RETRY_SECONDS)
            else:
                outage.back()
                break


def push_token(settings: Settings) -> str:
    """The API makes it at its first start, which may come after ours."""
    try:
        return read_token(settings.keys_dir, Role.PUSH)
    except SettingsError as error:
        raise DataUnavailable(str(error)) from error


def scoring_api(settings: Settings) -> HttpScoringApi:
    """The API of the settings, with the right to push to it."""
    return HttpScoringApi(
        str(settings.api_url),
        push_token(settings),
        settings.api_timeout_seconds,
        settings.push_timeout_seconds,
        settings.rollout,
    )
