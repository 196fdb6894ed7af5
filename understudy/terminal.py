"""Shared by all commands: the consoles, tables, and the database and the lake of the settings.

What commands print comes from data, so no text is markup: `[fault]` is seven characters, and a
character that a terminal would obey is shown as a picture.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from shared.errors import DataUnavailable, SettingsError, UnderstudyError
from shared.printable import printable
from shared.tables.engine import connect, migrate
from shared.tables.url import parse_database_url
from understudy.settings import CommandSettings

if TYPE_CHECKING:
    from shared.importing.lake import Lake

LAKE = "lake"
"""The word by which `--to` names the lake of LAKE_URL."""


class DataConsole(Console):
    """A console that prints text as it is: no markup, no emoji codes, no guessed colours."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string; what a terminal would obey becomes visible before it is measured."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of anything; the same for what was made without `render_str`."""
        for segment in super().render(renderable, options):
            safe = segment.text if segment.control else printable(segment.text)
            yield segment if safe == segment.text else Segment(safe, segment.style)


_LEAST_WIDTH = 8
"""Characters that a column gets before others stand on one line."""


class DataTable(Table):
    """A table of texts as they are; cells are folded where they do not fit, never cut.

    A column with `no_wrap` gets its width first, unless too little is left for the others.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        first = [column for column in self.columns if column.no_wrap]
        taken = sum(max(map(_width, (column.header, *column.cells))) for column in first)
        gaps = 3 * len(self.columns)
        left = options.max_width - gaps - taken
        if left < _LEAST_WIDTH * (len(self.columns) - len(first)):
            for column in first:
                column.no_wrap = False
        yield from super().__rich_console__(console, options)

    def add_column(self, header: RenderableType = "", *args: Any, **options: Any) -> None:
        shown = styled(header, "") if isinstance(header, str) else header
        super().add_column(shown, *args, **{"overflow": "fold", **options})

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(styled(c, "") if isinstance(c, str) else c for c in cells), **options)


def _width(cell: RenderableType) -> int:
    return cell_len(str(cell))


def styled(text: str, style: str) -> Text:
    """Text of data in a style."""
    # set on the text itself, otherwise a column without wrapping would truncate it
    return Text(printable(text), style=style, no_wrap=False, overflow="fold")


def second_of(instant: str | None) -> str:
    """An RFC 3339 instant in UTC to the second, for tables."""
    return f"{instant[:19]}Z" if instant else ""


# Progress of long work: a bar on a terminal, a line every tenth elsewhere.

Advance = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


@contextmanager
def shown(what: str, *, in_percent: bool = False) -> Iterator[Advance]:
    """Show how far the work is, in the way that suits where the output goes.

    `in_percent`: what is counted is nothing that a person knows.
    """
    if not sys.stderr.isatty():
        yield _lines(what, in_percent=in_percent)
        return
    far = TaskProgressColumn() if in_percent else MofNCompleteColumn()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        far,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, *, in_percent: bool) -> Advance:
    log, told = structlog.get_logger(), -1

    def advance(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total if total else 10
        if tenth > told:
            told = tenth
            far = {"percent": 10 * tenth} if in_percent else {"done": done, "total": total}
            log.info("progress", what=what, **far)

    return advance


console = DataConsole()
errors = DataConsole(stderr=True)


def write_json(value: object) -> None:
    """Print for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


class DatabaseNotThere(UnderstudyError):
    """Raised when a command that reads or changes rows finds no database; says where it looked."""


@contextmanager
def open_database(settings: CommandSettings) -> Iterator[Engine]:
    """The database that services have made, its tables brought up to date.

    Raises:
        DatabaseNotThere: no file is there; made here, it would hide that the folder is wrong.
    """
    url = parse_database_url(settings.database_url.get_secret_value())
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file is not None and not Path(file).exists():
        raise DatabaseNotThere(
            f"there is no database {file}: change to the folder in which the services run, or set "
            "DATABASE_URL; `understudy run` makes one"
        )
    with make_database(settings) as engine:
        yield engine


@contextmanager
def make_database(settings: CommandSettings) -> Iterator[Engine]:
    """The database, made where there is none, its tables brought up to date."""
    engine = connect(settings.database_url.get_secret_value())
    try:
        try:
            migrate(engine)
        except DataUnavailable as error:
            raise DataUnavailable(f"{error}; start the database, or set DATABASE_URL") from error
        yield engine
    finally:
        engine.dispose()


def lake_of(settings: CommandSettings) -> "Lake":
    """The lake of LAKE_URL.

    Raises:
        SettingsError: there is none.
    """
    from shared.importing.lake import Lake  # noqa: PLC0415 - few commands need it, nor its library

    if not settings.lake_url:
        raise SettingsError(
            "LAKE_URL: --to lake needs the place of the lake, a folder or s3://bucket/path; "
            "set it for the scheduler, too, which trains on what lies there"
        )
    return Lake.at(settings.lake_url)
