"""The settings of the scoring service."""

from api.setting_groups import (
    AccessSettings,
    BreakerSettings,
    JournalSettings,
    ModelSettings,
    RequestLimitSettings,
    ScoringSettings,
    ShadowSettings,
    WorkerSettings,
)
from shared.errors import SettingsError
from shared.host_names import is_loopback
from shared.settings import (
    DataSettings,
    ListenSettings,
    LogSettings,
    NativeSettings,
    PickleSettings,
    ReachSettings,
    RegistrySettings,
    StoreSettings,
    TracingSettings,
    load,
)
from usecases.settings import UseCaseSettings


class Settings(
    DataSettings,
    UseCaseSettings,
    LogSettings,
    TracingSettings,
    PickleSettings,
    NativeSettings,
    ListenSettings,
    ReachSettings,
    AccessSettings,
    RequestLimitSettings,
    WorkerSettings,
    JournalSettings,
    RegistrySettings,
    StoreSettings,
    ModelSettings,
    BreakerSettings,
    ShadowSettings,
    ScoringSettings,
):
    """Every setting of the scoring service, read once and frozen."""


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    settings = load(Settings)
    refuse_unnamed_reach(settings)
    return settings


def refuse_unnamed_reach(settings: Settings) -> None:
    """Refuse open scoring on a port that other machines can reach, unless a setting allows it.

    Raises:
        SettingsError: names the settings and the effect of each.
    """
    if settings.scoring_auth == "on" or settings.open_scoring_reach != "loopback":
        return
    if is_loopback(settings.api_host):
        return
    raise SettingsError(
        f"API_HOST: {settings.api_host} can be reached from other machines while SCORING_AUTH=off "
        "lets any caller score - set SCORING_AUTH=on; or say from where callers without "
        "credentials come: OPEN_SCORING_REACH=private-network if only machines that you control "
        "reach the port (their rows become history and training data), "
        "OPEN_SCORING_REACH=anywhere if others do (their rows are scored and quarantined)"
    )
