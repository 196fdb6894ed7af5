"""The settings of the retraining service."""

from scheduler.setting_groups import (
    OFF,
    ApiTimeoutSettings,
    ApprovalSettings,
    ArchiveSettings,
    DriftSettings,
    ExecutionSettings,
    MonitoringSettings,
    NotificationSettings,
    RolloutSettings,
    RunFileSettings,
    RunSettings,
    ScheduleSettings,
)
from shared.execution.ray_cluster import refuse_open_cluster
from shared.settings import (
    ApiClientSettings,
    CandidateSettings,
    DataSettings,
    DriftReportSettings,
    LakeSettings,
    LogSettings,
    NativeSettings,
    PickleSettings,
    ReplaySettings,
    StoreSettings,
    TracingSettings,
    load,
)
from usecases.settings import UseCaseSettings

__all__ = ["OFF", "SchedulerSettings", "load_settings"]


class SchedulerSettings(
    DataSettings,
    LakeSettings,
    UseCaseSettings,
    LogSettings,
    TracingSettings,
    PickleSettings,
    NativeSettings,
    ApiClientSettings,
    ApiTimeoutSettings,
    ScheduleSettings,
    RunSettings,
    ExecutionSettings,
    CandidateSettings,
    StoreSettings,
    RunFileSettings,
    DriftReportSettings,
    ReplaySettings,
    ArchiveSettings,
    DriftSettings,
    RolloutSettings,
    ApprovalSettings,
    NotificationSettings,
    MonitoringSettings,
):
    """Every setting of the retraining service, read once and frozen."""


def load_settings() -> SchedulerSettings:
    """Read the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    settings = load(SchedulerSettings)
    if settings.ray_address is not None:
        refuse_open_cluster(settings.ray_address)
    return settings
