"""Settings of the retraining service: environment variables, read once, frozen."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import usecases
from native.catalogue import PartNames
from shared.errors import SettingsError
from shared.intervals import Interval
from shared.local_paths import AbsolutePath
from shared.log_limits import LogLimits
from shared.outbound import Address, SecretAddress, own_api
from shared.tables.url import DatabaseUrl

OFF = "off"


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, validate_default=True
    )

    # may carry a password, so it is masked wherever settings are shown
    database_url: DatabaseUrl = SecretStr("sqlite:///var/understudy.db")
    use_case: str = usecases.DEFAULT
    keys_dir: AbsolutePath = Path("var/keys")
    api_url: Address = Field(default_factory=own_api, validate_default=True)
    retrained_models_dir: AbsolutePath = Path("retrained_models")
    test_data_dir: AbsolutePath = Path("test_data")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    log_file: AbsolutePath | None = None
    log_lines_per_minute: int = Field(
        default=60, ge=0, description="Lines of one event a minute; the others are counted; 0: all"
    )
    log_file_max_bytes: int = Field(
        default=50 * 1024 * 1024, ge=64 * 1024, description="A larger LOG_FILE is put aside"
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

    heartbeat_file: AbsolutePath = Path("var/scheduler.heartbeat")
    heartbeat_max_age_seconds: float = Field(default=60.0, gt=0)
    # a change of RetrainingConfig is promised to be in force within 10 s
    config_poll_seconds: float = Field(default=3.0, gt=0, le=8)
    # a manual trigger is promised to start within 5 s
    claim_poll_seconds: float = Field(default=1.0, gt=0, le=4)
    # figures for Prometheus; none unless a port is named
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    # a due instant that nobody answered is made up for, once, if it is not older than this
    catch_up_seconds: float = Field(default=7 * 86_400.0, ge=0)
    # a scheduler that died is replaced after this; a third of it passes between extensions
    lease_seconds: float = Field(default=15.0, ge=1, le=25)
    run_attempts: int = Field(default=4, ge=1)
    retry_pause_seconds: float = Field(default=15.0, gt=0, le=900)
    # importing what learns takes seconds and half a GiB: now, or when a run begins
    run_process_ready: bool = True
    run_time_limit_seconds: float = Field(default=4 * 3_600.0, gt=0)
    run_memory_limit_bytes: int = Field(default=8 * 2**30, gt=0)
    work_dir: AbsolutePath = Path("var/work")
    work_max_bytes: int = Field(default=4 * 2**30, ge=0)
    # an interval like RetrainingConfig's, or "off"
    drift_interval: str = "1D"
    drift_window_days: float = Field(default=7.0, ge=1, le=90)
    # for so long after an alarm started a retraining, no other alarm does
    drift_cooldown_days: float = Field(default=7.0, ge=0)
    drift_reports_dir: AbsolutePath = Path("var/drift")
    drift_reports_kept: int = Field(default=30, ge=1)
    shutdown_grace_seconds: float = Field(default=8.0, ge=0, le=9)
    api_timeout_seconds: float = Field(default=10.0, gt=0)
    push_timeout_seconds: float = Field(default=60.0, gt=0)
    # how a promoted candidate comes into service
    rollout: Literal["immediate", "shadow", "canary"] = "immediate"
    rollout_look_seconds: float = Field(default=10.0, gt=0, le=300)
    rollout_stage_minutes: float = Field(default=30.0, ge=0)
    # of each arm; less traffic extends a stage, for as long as it takes
    rollout_stage_requests: int = Field(default=1_000, ge=1)
    latency_budget_ms: float = Field(default=5.0, gt=0)
    # candidates that are pickled Python objects instead of graphs
    allow_pickle_models: bool = False
    training_seed: int = Field(default=20260101, ge=0)
    # a tracking server; its address may carry a password
    mlflow_tracking_uri: SecretAddress | None = None
    mlflow_wait_seconds: float = Field(default=30.0, gt=0, le=120)
    candidates_kept: int = Field(default=10, ge=2)
    held_out_sets_kept: int = Field(default=5, ge=1)

    @field_validator("drift_interval")
    @classmethod
    def _is_an_interval(cls, text: str) -> str:
        return OFF if text.strip().lower() == OFF else Interval.parse(text).text


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: names the variable, what is wrong with it and what to do.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(item) for item in error.errors())) from error


def _explain(item: object) -> str:
    details = item if isinstance(item, dict) else {}
    name = str(details["loc"][0])
    default = Settings.model_fields[name].default
    shown = default.get_secret_value() if isinstance(default, SecretStr) else default
    return (
        f"{name.upper()}: {details['msg']}; set it to a valid value "
        f"or unset it to use the default ({shown})"
    )
