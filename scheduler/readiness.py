"""Waits for the preconditions of work: the database, and the token that the API creates."""

from collections.abc import Callable

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.heartbeat import HeartbeatFile
from scheduler.schedule.outage_log import OutageLog
from scheduler.scoring_api import HttpScoringApi
from scheduler.settings import SchedulerSettings
from shared.clock import SystemClock
from shared.errors import DataUnavailable, SettingsError
from shared.keys.tokens import Role, read_token
from shared.tables.engine import migrate

RETRY_SECONDS = 2.0


def wait_until_ready(
    settings: SchedulerSettings,
    engine: Engine,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> None:
    """Wait for what others provide: a database to migrate, and the API's push token."""
    heartbeat = heartbeat_of(settings)
    waiting: tuple[tuple[OutageLog, Callable[[], object]], ...] = (
        (OutageLog("database", log), lambda: migrate(engine)),
        (OutageLog("push_token", log), lambda: push_token(settings)),
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


def heartbeat_of(settings: SchedulerSettings) -> HeartbeatFile:
    """The heartbeat file of the settings, which also says how old a beat may become."""
    return HeartbeatFile(settings.heartbeat_file, SystemClock(), settings.heartbeat_max_age_seconds)


def push_token(settings: SchedulerSettings) -> str:
    """The API makes it at its first start, which may come after ours."""
    try:
        return read_token(settings.keys_dir, Role.PUSH)
    except SettingsError as error:
        raise DataUnavailable(str(error)) from error


def scoring_api(settings: SchedulerSettings) -> HttpScoringApi:
    """The API of the settings, with the right to push to it."""
    return HttpScoringApi(
        str(settings.api_url),
        push_token(settings),
        settings.api_timeout_seconds,
        settings.push_timeout_seconds,
        settings.rollout,
    )
