"""`understudy reset`: start over; what there was is moved aside, never deleted."""

from pathlib import Path

from rich.console import Console
from sqlalchemy.engine import make_url

from shared.clock import SystemClock, to_datetime
from shared.errors import UnderstudyError
from understudy.backup.restore import no_service_runs

# Suffixes of the files beside a SQLite database, and of those beside the registry's files.
_DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal", ".migration-lock")
_KEPT = "README.md"


class ResetRefused(UnderstudyError):
    """Raised when nothing was moved."""


def reset(console: Console) -> Path | None:
    """Move database, journal, models, candidates and kept work aside; keys, tokens and logs stay.

    Returns the folder they are in now; None where there was nothing.

    Raises:
        ResetRefused: a service runs, or the database is not a file of this machine.
        SettingsError: a variable does not parse.
    """
    try:
        from api.settings import load_settings as api_settings  # noqa: PLC0415
        from scheduler.settings import load_settings as scheduler_settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ResetRefused(
            "a container holds one service only: `docker compose down --volumes` starts over, "
            "and deletes what there was"
        ) from error
    api, scheduler = api_settings(), scheduler_settings()
    database = _database_file(api.database_url.get_secret_value())
    with no_service_runs(api.journal_dir, ResetRefused):
        found = [
            *(database.with_name(database.name + suffix) for suffix in _DATABASE_SUFFIXES),
            *(api.journal_dir, api.run_dir, scheduler.work_dir, scheduler.drift_reports_dir),
            *_contents(api.prod_models_dir),
            *_contents(scheduler.retrained_models_dir),
            *_contents(scheduler.test_data_dir),
        ]
        return _move_aside([path for path in found if path.exists()], database.parent, console)


def _database_file(url: str) -> Path:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise ResetRefused(
            "DATABASE_URL names a server: make a new database there and point DATABASE_URL to it"
        )
    return Path(parsed.database).absolute()


def _contents(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.name != _KEPT] if folder.is_dir() else []


def _move_aside(paths: list[Path], beside: Path, console: Console) -> Path | None:
    if not paths:
        console.print("There is nothing to move aside.")
        return None
    aside = beside / f"before-reset-{to_datetime(SystemClock.now_us()):%Y%m%dT%H%M%SZ}"
    aside.mkdir(parents=True)
    for path in paths:
        # models in different folders may have the same name
        target = aside / path.parent.name
        target.mkdir(exist_ok=True)
        try:
            path.rename(target / path.name)
        except OSError as error:
            fault = f"cannot move {path} to {aside}: {error.strerror}; move it by hand"
            raise ResetRefused(fault) from error
    console.print(f"Moved {len(paths)} files and folders to {aside}; delete it when you are sure.",
                  markup=False, soft_wrap=True)  # fmt: skip
    console.print("The next start begins with an empty database.")
    return aside
