"""The settings of the command line; the services read their own."""

from pathlib import Path

from pydantic import Field

from shared.settings import (
    AbsolutePath,
    ApiClientSettings,
    CandidateSettings,
    ConsoleListenSettings,
    DataSettings,
    LakeSettings,
    ListenSettings,
    RegistrySettings,
    SettingGroup,
    load,
)
from usecases.settings import UseCaseSettings


class CommandRunSettings(SettingGroup):
    """`understudy run`."""

    logs_dir: AbsolutePath = Field(
        default=Path("var/logs"),
        description="Folder in which `understudy run` keeps the log of each service.",
    )
    seed_empty_database: bool = Field(
        default=True,
        description="Whether `understudy run` and `understudy seed` fill an empty database with "
        "simulated history.",
    )


class CommandSettings(
    DataSettings,
    LakeSettings,
    UseCaseSettings,
    ListenSettings,
    ApiClientSettings,
    CandidateSettings,
    RegistrySettings,
    ConsoleListenSettings,
    CommandRunSettings,
):
    """Every setting that the command line reads, read once and frozen."""


def load_settings() -> CommandSettings:
    """Read the environment.

    Raises:
        SettingsError: names every variable that cannot be used, why, and the remedy.
    """
    return load(CommandSettings)
