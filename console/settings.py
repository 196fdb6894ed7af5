"""The settings of the console."""

import os
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from shared.host_names import is_loopback
from shared.outbound import Address
from shared.settings import (
    ApiClientSettings,
    CandidateSettings,
    ConsoleListenSettings,
    DataSettings,
    DriftReportSettings,
    LogSettings,
    ReachSettings,
    RegistrySettings,
    ReplaySettings,
    SettingGroup,
    load,
)

_HOST = r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
_HOSTS = rf"^(\*|({_HOST}(\s*,\s*{_HOST})*)?)$"


def _scheduler_of_this_machine() -> str | None:
    port = os.environ.get("METRICS_PORT")
    return f"http://127.0.0.1:{port}/metrics" if port else None


class ConsolePageSettings(SettingGroup):
    """Pages of the console."""

    console_allowed_hosts: str = Field(
        default="",
        pattern=_HOSTS,
        description="Host names that browsers may use for the console, in addition to localhost, "
        "the name of this machine, CONSOLE_HOST and any IP address; others get 421. "
        "Comma-separated; .example.com allows every name below it, * allows any name.",
    )
    console_session_hours: float = Field(
        default=12.0,
        gt=0,
        le=168,
        description="Hours without a request after which a session of the console ends.",
    )
    console_time_zone: str = Field(
        default="UTC",
        description="Time zone that pages show beside UTC, such as Europe/Vienna. With JavaScript, "
        "the zone of the browser is shown as well.",
    )
    console_read_timeout_seconds: float = Field(
        default=2.0,
        gt=0,
        le=30,
        description="Seconds that one query of a page may take; then the page shows the last "
        "answer and says so.",
    )
    console_api_timeout_seconds: float = Field(
        default=3.0, gt=0, le=30, description="Seconds that a page waits for the API."
    )
    console_sample_seconds: float = Field(
        default=15.0,
        ge=1,
        le=300,
        description="Seconds between two samples of the metrics of API and scheduler; 24 hours of "
        "samples are kept in memory.",
    )
    scheduler_metrics_url: Address | None = Field(
        default_factory=_scheduler_of_this_machine,
        validate_default=True,
        description="Address of the scheduler's metrics. Default: METRICS_PORT on this machine; "
        "without METRICS_PORT none are sampled.",
    )

    @field_validator("console_time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name[:40]!r} is not a time zone; write one such as UTC") from error
        return name


class ConsoleSettings(
    DataSettings,
    LogSettings,
    ApiClientSettings,
    CandidateSettings,
    RegistrySettings,
    DriftReportSettings,
    ReplaySettings,
    ReachSettings,
    ConsoleListenSettings,
    ConsolePageSettings,
):
    """Every setting of the console, read once and frozen."""

    @property
    def reading_is_open(self) -> bool:
        """True if pages need no session: only if the API's reading needs no token either.

        A console that other machines reach is open only if the API was declared to be.
        """
        if self.scoring_auth == "on":
            return False
        return is_loopback(self.console_host) or self.open_scoring_reach != "loopback"


def load_settings() -> ConsoleSettings:
    """Read the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    return load(ConsoleSettings)
