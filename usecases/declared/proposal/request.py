"""The request of `understudy new`, and the error by which it refuses."""

from dataclasses import dataclass
from pathlib import Path

from shared.errors import UnderstudyError
from shared.importing.times import Unit
from shared.tasks import TaskKind

MOST_COLUMNS = 1_500
"""PostgreSQL's tables take 1,600 columns, SQLite's 2,000; some are ours."""

LONGEST_NAME = 256
"""The longest name of a column that a declaration takes."""


class CannotPropose(UnderstudyError):
    """Raised when a fact must not be guessed; names the column and the option that states it."""


@dataclass(frozen=True, slots=True)
class NewUseCase:
    """The options of `understudy new`.

    Attributes:
        files: what is read; empty with `sql`.
        database: the environment variable with the URL of the database of `sql`.
        items: of a ranking, the columns with the ratings so far; None: found by their names.
        time_unit: what numbers of the time column count, where their size does not show it.
        day_first: whether 05/01/2026 is in January, where the column is ambiguous.
    """

    name: str
    label: str
    files: tuple[Path, ...] = ()
    sql: str | None = None
    database: str = "SOURCE_DATABASE_URL"
    time: str | None = None
    no_time: bool = False
    task: TaskKind | None = None
    entity: str | None = None
    items: str | None = None
    day_first: bool | None = None
    time_format: str | None = None
    time_unit: Unit | None = None
