"""The folders of one instance, to back up and to restore into."""

from pathlib import Path

from api.settings import Settings
from understudy.backup.places import BackupSettings

FOLDERS = {
    "keys_dir": "keys",
    "journal_dir": "journal",
    "prod_models_dir": "prod_models",
    "retrained_models_dir": "retrained_models",
    "test_data_dir": "test_data",
    "drift_reports_dir": "drift",
    "archive_dir": "archive",
}


def instance_in(folder: Path, use_case: str = "tiny", database_url: str = "") -> BackupSettings:
    """The settings of an instance that lies in one folder."""
    said = {name: folder / where for name, where in FOLDERS.items()}
    url = database_url or f"sqlite:///{folder}/understudy.db"
    return BackupSettings.model_validate({**said, "use_case": use_case, "database_url": url})


def instance_of(settings: Settings) -> BackupSettings:
    """The instance around a server's settings."""
    return instance_in(settings.keys_dir.parent)
