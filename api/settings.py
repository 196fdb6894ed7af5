"""Settings of the scoring service, from the environment; a mistake names its remedy."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import usecases
from native.catalogue import PartNames
from shared.errors import SettingsError
from shared.local_paths import AbsolutePath
from shared.log_limits import LogLimits
from shared.tables.url import DatabaseUrl

MIB = 1024 * 1024
_ORIGIN = r"https?://[A-Za-z0-9.\[\]:-]+"
ORIGINS = rf"^({_ORIGIN}(\s*,\s*{_ORIGIN})*)?$"
_HOST = r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
HOSTS = rf"^(\*|({_HOST}(\s*,\s*{_HOST})*)?)$"


class Settings(BaseSettings):
    """Every variable the service reads; the name in the environment is the name here."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    # A URL may carry a password.
    database_url: DatabaseUrl = SecretStr("sqlite:///var/understudy.db")
    use_case: str = usecases.DEFAULT
    keys_dir: AbsolutePath = Path("var/keys")
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65_535)
    prod_models_dir: AbsolutePath = Path("prod_models")
    # Where workers tell each other how they stand; on this machine, writable.
    run_dir: AbsolutePath = Path("var/run")
    api_workers: int = Field(default=1, ge=1, le=64)
    # One of several workers whose event loop stood still for so long (2 at least) is ended
    # and started again; 0: never.
    worker_hang_seconds: float = Field(default=30, ge=0)
    peer_wait_seconds: float = Field(
        default=10,
        gt=0,
        le=60,
        description="How long a row waits for the worker that owns its entity, while that one is "
        "started again or hangs, before it is answered 503 `worker-unavailable`.",
    )
    scoring_auth: Literal["on", "off"] = "off"
    open_scoring_reach: Literal["loopback", "private-network", "anywhere"] = Field(
        default="loopback",
        description="From where callers without credentials can reach the port while "
        "SCORING_AUTH=off. Their rows become history and training data, unless it is "
        "`anywhere`: then they are scored and quarantined.",
    )

    journal_dir: AbsolutePath = Path("var/journal")
    journal_fsync: bool = False
    journal_max_bytes: int = Field(default=256 * MIB, ge=64 * 1024)
    journal_drain_seconds: float = Field(default=0.25, gt=0, le=60)
    # process: storing rows never holds up answering; thread: 50 MiB less memory
    journal_drain_in: Literal["process", "thread"] = "process"

    anonymous_bytes_per_second: int = Field(
        default=8 * MIB,
        ge=0,
        description="What rows of callers without a token may come to in journal and database",
    )
    disk_reserve_bytes: int = Field(
        default=1_024 * MIB,
        ge=0,
        description="Free space that such rows never take, at most a fiftieth of the disk",
    )
    max_connections: int = Field(
        default=1_000,
        ge=8,
        le=60_000,
        description="Connections of one process at once; those silent for longest make room",
    )
    allowed_hosts: str = Field(
        default="",
        pattern=HOSTS,
        description="Names callers may use, beside localhost, this machine's name and any "
        "address; comma-separated, .example.com for all below it, * for any",
    )
    body_max_bytes: int = Field(default=64 * 1024, ge=1024)
    batch_max_bytes: int = Field(default=4 * MIB, ge=1024)
    batch_max_rows: int = Field(default=1_000, ge=1, le=100_000)
    bundle_max_bytes: int = Field(default=64 * MIB, ge=1024)
    # a minute, in each process; 0 switches a limit off
    failed_attempts_per_minute: int = Field(default=30, ge=0)
    changes_per_minute: int = Field(default=120, ge=0)
    # pages of these origins may read answers in a browser; comma-separated
    cors_origins: str = Field(default="", pattern=ORIGINS)
    # Such a model runs its own code when it is loaded; still signed, still tried in a child.
    allow_pickle_models: bool = False
    smoke_timeout_seconds: float = Field(default=30, gt=0)
    smoke_memory_bytes: int = Field(default=2_048 * MIB, ge=256 * MIB)
    # So many rows the version fails on, and its fallback does not, step back; 0: never.
    breaker_failures: int = Field(default=5, ge=0)
    breaker_window_seconds: float = Field(default=60, gt=0)
    scoring_budget_seconds: float = Field(
        default=0.05,
        ge=0,
        description="A call of the live model that takes longer than this for a row counts as a "
        "failure for BREAKER_FAILURES, unless its fallback is as slow then. 0 disables it.",
    )
    # So many processes that died inside of a fresh version's code, step back; 0: never.
    breaker_crashes: int = Field(default=3, ge=0)
    breaker_crash_window_seconds: float = Field(default=600, gt=0)
    served_well_seconds: float = Field(
        default=600,
        ge=0,
        description="A version that was in service for this long, with SERVED_WELL_ROWS rows, is "
        "one that a rollback prefers to those that were replaced sooner",
    )
    served_well_rows: int = Field(
        default=100,
        ge=0,
        description="Rows since its activation, in one worker, that a version needs to have served "
        "well",
    )
    # A version in the shadow: rows wait in a queue of this size, in a process with limits.
    shadow_queue_bytes: int = Field(default=256 * 1024, ge=4 * 1024, le=MIB)
    shadow_memory_bytes: int = Field(default=2_048 * MIB, ge=256 * MIB)
    shadow_hang_seconds: float = Field(default=10, gt=0)
    # Decisions the database has already, kept so that a retry is answered from memory.
    answered_capacity: int = Field(default=2_000, ge=0)
    history_deadline_ms: float = Field(
        default=250,
        ge=10,
        le=10_000,
        description="Longest time in which a request reads history from PostgreSQL, for each 50 "
        "rows begun; then it is scored without.",
    )
    # auto: in threads where history comes over a network
    scoring_in_threads: Literal["auto", "on"] = "auto"
    scoring_threads: int = Field(default=8, ge=1, le=256)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    log_file: AbsolutePath | None = None
    log_lines_per_minute: int = Field(
        default=60, ge=0, description="Lines of one event a minute; the others are counted; 0: all"
    )
    log_file_max_bytes: int = Field(
        default=50 * MIB, ge=64 * 1024, description="A larger LOG_FILE is put aside"
    )
    log_files_kept: int = Field(default=5, ge=0, le=100, description="Of the log files put aside")
    native_parts_off: PartNames = Field(
        default="",
        description="Native parts to do without, separated by commas, or `all`: their fallbacks "
        "are used (docs/couplings.md)",
    )

    @property
    def log_limits(self) -> LogLimits:
        return LogLimits(self.log_lines_per_minute, self.log_file_max_bytes, self.log_files_kept)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a variable does not parse; every one is named with what it wants.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in found]
        raise SettingsError(
            "; ".join(told) + " - correct it, or unset it to take the default"
        ) from error
    refuse_unnamed_reach(settings)
    return settings


def refuse_unnamed_reach(settings: Settings) -> None:
    """Refuse open scoring on a port that other machines can reach, unless a setting says so.

    Raises:
        SettingsError: names the settings and what each would mean.
    """
    if settings.scoring_auth == "on" or settings.open_scoring_reach != "loopback":
        return
    if is_loopback(settings.api_host):
        return
    raise SettingsError(
        f"API_HOST: {settings.api_host} can be reached from other machines while SCORING_AUTH=off "
        "lets everybody score - set SCORING_AUTH=on; or say from where callers without "
        "credentials come: OPEN_SCORING_REACH=private-network if only machines that you control "
        "reach the port (their rows become history and training data), "
        "OPEN_SCORING_REACH=anywhere if others do (their rows are scored and quarantined)"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a port of this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name: who knows where it leads
        return False
