"""The settings of the retraining service."""

from scheduler.setting_groups import (
    OFF,
    ApiTimeoutSettings,
    ApprovalSettings,
    ArchiveSettings,
    DriftSettings,
    MonitoringSettings,
    NotificationSettings,
    RolloutSettings,
    RunFileSettings,
    RunSettings,
    ScheduleSettings,
)
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
    return load(SchedulerSettings)
