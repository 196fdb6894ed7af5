"""The composition root: everything the console is made of, from its settings."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import httpx

from console.access import Access, Sessions
from console.api_client import Api
from console.app import create_app
from console.database import ReadOnlyDatabase
from console.files import ModelFiles
from console.guard import Guard
from console.pages import Console
from console.reads import SharedReads
from console.render import make_environment
from console.sampler import Sampler, Samples
from console.screen import Sources
from console.screens.catalogue import DEEDS, SCREENS
from console.settings import ConsoleSettings
from shared.clock import MICROS_PER_SECOND, Clock, SystemClock
from shared.errors import SettingsError
from shared.host_names import Hosts
from shared.keys.tokens import Role, ensure_tokens, read_token

_HOUR = 3_600.0
SYSTEM_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class WiredConsole:
    """The parts that have a life of their own, and the application."""

    app: Guard
    sampler: Sampler
    sources: Sources

    def close(self) -> None:
        self.sampler.stop()
        self.sources.database.close()
        self.sources.api.close()


def wire(
    settings: ConsoleSettings,
    clock: Clock = SYSTEM_CLOCK,
    transport: httpx.BaseTransport | None = None,
) -> WiredConsole:
    """Everything, nothing started yet; `transport` is how the API is reached.

    Raises:
        SettingsError: a setting names something that cannot be used.
    """
    token = _token(settings)
    api = Api(
        settings.api_url, settings.console_api_timeout_seconds, _unless_missing(token), transport
    )
    samples = Samples(settings.console_sample_seconds)
    sources = Sources(
        database=ReadOnlyDatabase(
            settings.database_url.get_secret_value(), settings.console_read_timeout_seconds
        ),
        api=api,
        files=ModelFiles(
            settings.prod_models_dir,
            settings.retrained_models_dir,
            settings.drift_reports_dir,
            settings.replay_dir,
        ),
        samples=samples,
        reads=SharedReads(),
        clock=clock,
    )
    access = Access(
        Sessions(settings.console_session_hours * _HOUR),
        token,
        reading_is_open=settings.reading_is_open,
    )
    templates = make_environment(ZoneInfo(settings.console_time_zone))
    console = Console(sources, SCREENS, DEEDS, templates, access, _hosts(settings))
    sampler = Sampler(
        samples,
        _metrics_of(settings, api),
        settings.console_sample_seconds,
        lambda: clock.now_us() / MICROS_PER_SECOND,
    )
    return WiredConsole(create_app(console), sampler, sources)


def _token(settings: ConsoleSettings) -> Callable[[], str]:
    """Reads the console's token; the console or the API makes it, whichever starts first."""
    # OSError: a read-only mount, which holds the token that the API made.
    with suppress(OSError):
        ensure_tokens(settings.keys_dir, [Role.CONSOLE])
    return lambda: read_token(settings.keys_dir, Role.CONSOLE)


def _unless_missing(token: Callable[[], str]) -> Callable[[], str]:
    def known() -> str:
        try:
            return token()
        except (SettingsError, OSError):
            return ""

    return known


def _hosts(settings: ConsoleSettings) -> Hosts:
    own = "" if ":" in settings.console_host else settings.console_host
    return Hosts(f"{settings.console_allowed_hosts},{own}")


def _metrics_of(settings: ConsoleSettings, api: Api) -> list[Callable[[], str]]:
    sources: list[Callable[[], str]] = [lambda: api.read_text("/metrics")]
    url = settings.scheduler_metrics_url
    if url is not None:
        client = httpx.Client(timeout=settings.console_api_timeout_seconds, trust_env=False)

        def scheduler() -> str:
            return client.get(url).raise_for_status().text

        sources.append(scheduler)
    return sources
