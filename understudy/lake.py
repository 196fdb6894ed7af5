"""The lake of the command line: where `--to lake` leads."""

from shared.errors import SettingsError
from shared.importing.lake import Lake
from understudy.settings import CommandSettings

LAKE = "lake"


def lake_of(settings: CommandSettings) -> Lake:
    """The lake of LAKE_URL.

    Raises:
        SettingsError: there is none.
    """
    if not settings.lake_url:
        raise SettingsError(
            "LAKE_URL: --to lake needs the place of the lake, a folder or s3://bucket/path; "
            "set it for the scheduler, too, which trains on what lies there"
        )
    return Lake.at(settings.lake_url)
