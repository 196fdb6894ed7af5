"""`understudy doctor`: the checks that ask services, and all of them in their order."""

import platform
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from sqlalchemy import Engine

from native.catalogue import PARTS
from native.parts import Part
from shared.clock import MICROS_PER_SECOND, SystemClock, isoformat
from shared.contracts.health import Health
from shared.contracts.http import parse_if_agreed
from shared.errors import DataUnavailable
from shared.settings import SettingGroup
from shared.tables.engine import connect, database_errors, is_current
from shared.tables.job_schedules import read_schedules
from shared.tables.locks import database_now_us
from shared.tables.url import parse_database_url
from shared.version import VERSION
from understudy.api_client import read_credentials
from understudy.doctor_files import (
    SMALL,
    Check,
    check_disks,
    check_folder,
    check_keys,
    folders_of,
)
from understudy.settings import CommandSettings, load_settings

FARTHEST_CLOCK_SECONDS = 5.0
# A scheduler records every ten seconds that it checked the schedule.
UNATTENDED_SECONDS = 60.0
_TIMEOUT_SECONDS = 2.0
_SERVICES = 2
_START_IT = "start it with `understudy run`, and see its log"
_NEVER_RAN = Check("scheduler", "fault", "has never run on this database", _START_IT)


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """The answer at API_URL: health, or the reason why there is none; and the clock."""

    health: Health | None
    problem: str
    is_there: bool
    clock: datetime | None = None


def examine() -> list[Check]:
    """Every check, in the order in which things depend on each other.

    Raises:
        SettingsError: a setting cannot be used; names it.
    """
    settings = load_settings()
    services = list(_service_settings())
    # a container has one service, without the folders of `understudy run`
    groups = [settings, *services] if len(services) == _SERVICES else services
    folders = folders_of(groups)
    answer = ask_api(settings)
    return [
        *map(check_folder, folders, folders.values()),
        *check_disks(folder for name, folder in folders.items() if name not in SMALL),
        *check_keys(settings.keys_dir),
        *check_ports(settings, [settings, *services], answer),
        check_api(settings, answer),
        *check_clock(answer),
        *_check_database_and_scheduler(settings.database_url.get_secret_value()),
        *check_parts(PARTS),
    ]


def _check_database_and_scheduler(url: str) -> list[Check]:
    parsed = parse_database_url(url)
    file = parsed.database if parsed.get_backend_name() == "sqlite" else None
    if file is not None and not Path(file).exists():
        # connecting would create the file
        missing = Check("database", "note", f"{file} is not there yet", "the first start makes it")
        return [missing, _NEVER_RAN]
    engine = connect(url)
    try:
        return [*check_database(engine), check_scheduler(engine)]
    finally:
        engine.dispose()


def _service_settings() -> Iterator[SettingGroup]:
    """The settings of both services; a container has only one of them."""
    try:
        from api.settings import load_settings as api_settings  # noqa: PLC0415

        yield api_settings()
    except ModuleNotFoundError:
        pass
    try:
        from scheduler.settings import load_settings as scheduler_settings  # noqa: PLC0415

        yield scheduler_settings()
    except ModuleNotFoundError:
        pass


def ask_api(settings: CommandSettings) -> ApiAnswer:
    """The health of the API, asked for once."""
    url = settings.api_url.rstrip("/") + "/api/health"
    try:
        answer = httpx.get(url, headers=read_credentials(settings), timeout=_TIMEOUT_SECONDS)
    except httpx.ConnectError as error:
        return ApiAnswer(None, str(error), is_there=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ApiAnswer(None, str(error) or type(error).__name__, is_there=True)
    health = parse_if_agreed(Health, answer.content)
    problem = "" if health else f"{url} answers {answer.status_code}, and it is not our API"
    return ApiAnswer(health, problem, is_there=True, clock=_date(answer.headers.get("date")))


def _date(text: str | None) -> datetime | None:
    try:
        return None if text is None else parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def check_api(settings: CommandSettings, answer: ApiAnswer) -> Check:
    """Checks that the API answers and reports itself healthy."""
    if answer.health is None:
        remedy = "start it with `understudy run`, or set API_URL"
        return Check("API", "fault", f"{settings.api_url}: {answer.problem}", remedy)
    bad = {name: part for name, part in answer.health.components.items() if part.state != "ok"}
    if not bad:
        return Check("API", "ok", f"{settings.api_url} is healthy")
    told = "; ".join(f"{name} {part.state}: {part.detail}" for name, part in bad.items())
    is_down = answer.health.status == "down"
    return Check("API", "fault" if is_down else "note", told, "see `understudy status`")


def check_database(engine: Engine) -> Iterator[Check]:
    """Checks that the database answers and has this release's tables; changes nothing."""
    try:
        if not is_current(engine):
            remedy = "start a service of this release: it brings the tables up to date"
            found = f"its tables are missing or not those of {VERSION}"
            yield Check("database", "fault", found, remedy)
            return
        with database_errors("ask the database's clock"), engine.connect() as connection:
            now_us = database_now_us(connection)
    except DataUnavailable as error:
        yield Check("database", "fault", str(error), "start it, or set DATABASE_URL")
        return
    yield Check("database", "ok", f"answers ({engine.dialect.name}), and its tables are current")
    yield _clock("database", (now_us - SystemClock().now_us()) / MICROS_PER_SECOND)


def check_clock(answer: ApiAnswer) -> Iterator[Check]:
    """Check this machine's clock against that of the API."""
    if answer.clock is not None:
        us = answer.clock.timestamp() - SystemClock().now_us() / MICROS_PER_SECOND
        yield _clock("API", us)


def _clock(whose: str, ahead_seconds: float) -> Check:
    if abs(ahead_seconds) <= FARTHEST_CLOCK_SECONDS:
        return Check("clock", "ok", f"agrees with that of the {whose}")
    found = f"that of the {whose} is {ahead_seconds:+,.0f} s from this one"
    return Check("clock", "fault", found, "look at the time service of both machines")


def check_scheduler(engine: Engine) -> Check:
    """Checks that a scheduler, on any machine, looks at the schedule: the database records it."""
    try:
        looked_us = max((job.checked_at_us for job in read_schedules(engine)), default=None)
    except DataUnavailable as error:
        return Check("scheduler", "fault", f"cannot be told: {error}", "see the database above")
    if looked_us is None:
        return _NEVER_RAN
    age = (SystemClock().now_us() - looked_us) / MICROS_PER_SECOND
    if age > UNATTENDED_SECONDS:
        found = f"has not looked at the schedule since {isoformat(looked_us)}"
        return Check("scheduler", "fault", found, _START_IT)
    return Check("scheduler", "ok", f"looked at the schedule {max(age, 0):.0f} s ago")


def check_ports(
    settings: CommandSettings, groups: Sequence[SettingGroup], answer: ApiAnswer
) -> Iterator[Check]:
    """Checks that the ports of both services are free or in use by them."""
    yield _port_of_api(settings, answer)
    for group in groups:
        port = getattr(group, "metrics_port", None)
        if port is None:
            continue
        if port == settings.api_port:
            clash = f"METRICS_PORT and API_PORT are both {port}"
            yield Check("port", "fault", clash, "set METRICS_PORT to another one")
        else:
            yield _port_of_metrics(str(getattr(group, "metrics_host", "")), port)


def _port_of_api(settings: CommandSettings, answer: ApiAnswer) -> Check:
    host, port = settings.api_host, settings.api_port
    if port == 0 or answer.health is not None or _is_free(host, port):
        found = "answers" if answer.health is not None else "is free"
        return Check("port", "ok", f"API_PORT {port} {found}")
    taken = f"API_PORT {port} is taken by something that is not our API"
    return Check("port", "fault", taken, "end that program, or set API_PORT")


def _port_of_metrics(host: str, port: int) -> Check:
    if _is_free(host, port):
        return Check("port", "ok", f"METRICS_PORT {port} is free")
    try:
        answer = httpx.get(f"http://{host}:{port}/metrics", timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError:
        answer = None
    if answer is not None and "understudy_" in answer.text:
        return Check("port", "ok", f"METRICS_PORT {port} answers")
    taken = f"METRICS_PORT {port} is taken by something that is not our scheduler"
    return Check("port", "fault", taken, "end that program, or set METRICS_PORT")


def _is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return True
    except OSError:
        return False


def check_parts(parts: Sequence[Part]) -> Iterator[Check]:
    """Check which couplings to private interfaces are in use here (docs/couplings.md)."""
    off = [part for part in parts if not part.in_use]
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    used = len(parts) - len(off)
    yield Check("native parts", "ok", f"{used} of {len(parts)} in use; {system}")
    for part in off:
        remedy = f"{part.without} (docs/couplings.md)"
        yield Check("native parts", "note", f"{part.name}: {part.reason}", remedy)
