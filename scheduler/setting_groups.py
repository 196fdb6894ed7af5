"""The settings of the retraining service, group by group; scheduler/settings.py composes them."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from scheduler.cycle.as_of import parse_as_of
from shared.execution.ray_cluster import host_of
from shared.intervals import Interval
from shared.outbound import SecretAddress, SecretWebhook
from shared.settings import AbsolutePath, SettingGroup
from shared.sizes import GIB
from shared.tables.archive import LEAST_DAYS
from shared.tables.notifications import Event

OFF = "off"


class ApiTimeoutSettings(SettingGroup):
    """Time limits of calls to the API."""

    api_timeout_seconds: float = Field(
        default=10.0, gt=0, description="Seconds that a call to the API may take."
    )
    push_timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds that a push, or the download of a bundle, may take.",
    )


class ScheduleSettings(SettingGroup):
    """Schedule."""

    config_poll_seconds: float = Field(
        default=3.0,
        gt=0,
        le=8,
        description="Seconds between two reads of RetrainingConfig; a change is in force within "
        "10 s.",
    )
    claim_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        le=4,
        description="Seconds between two checks for a run to start; a manual trigger starts within "
        "5 s.",
    )
    catch_up_seconds: float = Field(
        default=7 * 86_400.0,
        ge=0,
        description="Age in seconds up to which the latest missed due instant is run after "
        "downtime; older ones are recorded as MISSED. 0 catches up nothing.",
    )
    lease_seconds: float = Field(
        default=15.0,
        ge=1,
        le=25,
        description="Seconds without an extension of its lease after which another scheduler takes "
        "over a run. The lease is extended three times as often.",
    )
    run_attempts: int = Field(
        default=4, ge=1, description="Attempts of a run, the first included, at transient failures."
    )
    retry_pause_seconds: float = Field(
        default=15.0,
        gt=0,
        le=900,
        description="Seconds before the second attempt; each further pause is four times as long.",
    )


class RunSettings(SettingGroup):
    """Runs."""

    run_process_ready: bool = Field(
        default=True,
        description="Whether the process of the next run waits with its libraries imported. true: "
        "about half a GiB of memory; false: each run starts about 4 s later.",
    )
    run_time_limit_seconds: float = Field(
        default=4 * 3_600.0, gt=0, description="Seconds after which a run's process is ended."
    )
    replay_time_limit_seconds: float = Field(
        default=24 * 3_600.0,
        gt=0,
        description="Seconds after which the process of a replay is ended; the rounds it finished "
        "are kept, and the same replay goes on from there.",
    )
    run_memory_limit_bytes: int = Field(
        default=8 * GIB,
        gt=0,
        description="Resident memory in bytes, of a run's process and its children, at which it is "
        "ended.",
    )
    shutdown_grace_seconds: float = Field(
        default=8.0,
        ge=0,
        le=9,
        description="Seconds to stop after SIGTERM: half for the running step, the rest to return "
        "the run. 0 stops at once.",
    )
    train_as_of: str | None = Field(
        default=None,
        description="Instant whose knowledge runs use, for data that ended long ago: "
        "`end-of-data` (the newest row), a day (its beginning in UTC) or an instant with a zone. "
        "None: now.",
    )
    training_seed: int = Field(
        default=20260101,
        ge=0,
        description="Random seed of training: the same snapshot and seed make the same bundle.",
    )
    latency_budget_ms: float = Field(
        default=5.0,
        gt=0,
        description="Milliseconds that a candidate may take for one row, at the 95th percentile.",
    )

    @field_validator("train_as_of")
    @classmethod
    def _is_an_instant(cls, value: str | None) -> str | None:
        return None if value is None else parse_as_of(value)


class ExecutionSettings(SettingGroup):
    """Tasks of a run."""

    ray_address: str | None = Field(
        default=None,
        description="Ray cluster that candidates and folds are trained on: ray://HOST:10001, or "
        "HOST:6379 on a machine of the cluster. It needs RAY_AUTH_MODE=token and, beyond this "
        "machine, RAY_USE_TLS=1. None: they are trained on this machine.",
    )
    task_processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes of this machine that they are trained in, where RAY_ADDRESS is not "
        "set; each holds the training rows. Shards and checks of a history in files run there, "
        "too. 1: one after another in the run's process.",
    )
    ray_shares_work_dir: bool = Field(
        default=False,
        description="Whether all nodes of RAY_ADDRESS have WORK_DIR under the same path (a shared "
        "volume). Then shards and checks of a history in files run there, too; otherwise on this "
        "machine, by TASK_PROCESSES.",
    )
    task_time_limit_seconds: float = Field(
        default=3_600.0,
        gt=0,
        description="Seconds that one of them may take in a process of its own or on Ray.",
    )
    task_memory_limit_bytes: int = Field(
        default=4 * GIB,
        gt=0,
        description="Memory in bytes that one of them may ask for there.",
    )

    @field_validator("ray_address")
    @classmethod
    def _is_a_cluster(cls, address: str | None) -> str | None:
        if address is not None:
            host_of(address)
        return address


class RunFileSettings(SettingGroup):
    """Files of runs."""

    test_data_dir: AbsolutePath = Field(
        default=Path("test_data"), description="Folder of the held-out rows of past runs."
    )
    held_out_sets_kept: int = Field(
        default=5, ge=1, description="Newest held-out sets that are kept in TEST_DATA_DIR."
    )
    work_dir: AbsolutePath = Field(
        default=Path("var/work"),
        description="Folder of the step cache: results of finished steps, by the hash of their "
        "inputs.",
    )
    work_max_bytes: int = Field(
        default=4 * GIB,
        ge=0,
        description="Size of the step cache in bytes; the least recently used results are removed "
        "first. 0 keeps none.",
    )
    snapshot_memory_rows: int = Field(
        default=4_000_000,
        ge=0,
        description="Stored rows up to which a run holds its snapshot in memory. More are read "
        "from files in WORK_DIR, shard by shard, with the same result to the bit.",
    )


class ArchiveSettings(SettingGroup):
    """Retention."""

    archive_older_than_days: float = Field(
        default=0.0,
        ge=0,
        description="Rows whose event is older are moved into Parquet files every day: at least "
        "180, because training reads months. 0 keeps all rows in the database.",
    )
    archive_dir: AbsolutePath = Field(
        default=Path("var/archive"), description="Folder of archived rows."
    )

    @field_validator("archive_older_than_days")
    @classmethod
    def _is_old_enough(cls, days: float) -> float:
        if 0 < days < LEAST_DAYS:
            raise ValueError(f"at least {LEAST_DAYS:.0f}, or 0 for never")
        return days


class DriftSettings(SettingGroup):
    """Drift."""

    drift_interval: str = Field(
        default="1D",
        description="How often recent rows are compared with the champion's baseline: an interval "
        "like that of RetrainingConfig. `off` disables it.",
    )
    drift_window_days: float = Field(
        default=7.0,
        ge=1,
        le=90,
        description="Days of traffic that are compared; whole weeks contain each weekday equally "
        "often.",
    )
    drift_cooldown_days: float = Field(
        default=7.0,
        ge=0,
        description="Days after an alarm that started a retraining in which no other alarm does. 0 "
        "disables the pause.",
    )
    drift_reports_kept: int = Field(
        default=30, ge=1, description="Newest drift reports that are kept."
    )

    @field_validator("drift_interval")
    @classmethod
    def _is_an_interval(cls, text: str) -> str:
        return OFF if text.strip().lower() == OFF else Interval.parse(text).text


class RolloutSettings(SettingGroup):
    """Rollout."""

    rollout: Literal["immediate", "shadow", "canary"] = Field(
        default="immediate", description="How a promoted candidate comes into service."
    )
    rollout_look_seconds: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds between two checks of the statistics of a rollout.",
    )
    rollout_stage_minutes: float = Field(
        default=30.0, ge=0, description="Minutes that a stage of a rollout lasts at least."
    )
    rollout_stage_requests: int = Field(
        default=1_000,
        ge=1,
        description="Requests that each version needs in a stage; with less traffic the stage "
        "lasts longer.",
    )
    rollout_stage_labels: int = Field(
        default=0,
        ge=0,
        description="Rows with a label that each version of a canary needs in a stage, so that "
        "outcomes are compared before it passes. 0: a stage does not wait for labels.",
    )


class ApprovalSettings(SettingGroup):
    """Approval by a person."""

    approval: Literal["off", "required"] = Field(
        default="off",
        description="Whether a person has to approve a candidate that passed every gate before it "
        "is signed and pushed: `understudy approve`, the console, or POST /approve_model.",
    )
    approval_hours: float = Field(
        default=72.0,
        gt=0,
        le=24 * 90,
        description="Hours that such a candidate waits. After that it is refused, and the next run "
        "trains a newer one.",
    )

    @property
    def approval_expires_seconds(self) -> float | None:
        """Seconds a candidate waits for a person's approval; None: none is required."""
        return self.approval_hours * 3_600 if self.approval == "required" else None


class NotificationSettings(SettingGroup):
    """Notifications."""

    notify_url: SecretWebhook | None = Field(
        default=None,
        description="Webhook that receives promotions, refusals, failures, rollbacks, drift and "
        "candidates that wait for a person: JSON, with `text` as Slack reads it. None: none.",
    )
    notify_events: str = Field(
        default=",".join(Event),
        description="Events that it receives, comma-separated.",
    )
    notify_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Seconds that one delivery may take in all."
    )
    notify_give_up_hours: float = Field(
        default=24.0,
        gt=0,
        description="Age in hours at which an event that could not be delivered is given up.",
    )

    @field_validator("notify_events")
    @classmethod
    def _are_events(cls, text: str) -> str:
        named = [name.strip().lower() for name in text.split(",") if name.strip()]
        unknown = sorted(set(named) - set(Event))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: write some of {', '.join(Event)}")
        return ",".join(dict.fromkeys(named))

    @property
    def chosen_events(self) -> frozenset[Event]:
        """The events of NOTIFY_EVENTS."""
        return frozenset(Event(name) for name in self.notify_events.split(",") if name)


class MonitoringSettings(SettingGroup):
    """Monitoring of the scheduler."""

    heartbeat_file: AbsolutePath = Field(
        default=Path("var/scheduler.heartbeat"),
        description="File that the scheduler touches, for `python -m scheduler.healthcheck`.",
    )
    heartbeat_max_age_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Age in seconds at which that check calls the scheduler unhealthy.",
    )
    metrics_host: str = Field(
        default="127.0.0.1", description="Address on which METRICS_PORT listens."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Port of the scheduler's metrics for Prometheus. None: no metrics.",
    )
    mlflow_tracking_uri: SecretAddress | None = Field(
        default=None,
        description="MLflow tracking server that every run is logged to. None: no tracking.",
    )
    mlflow_wait_seconds: float = Field(
        default=30.0,
        gt=0,
        le=120,
        description="Seconds that a run waits for that server before it goes on without it.",
    )
