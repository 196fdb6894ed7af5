"""What every command needs: the consoles, and the database of the settings."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from sqlalchemy import Engine

from shared.tables.engine import connect, migrate
from understudy.settings import CommandSettings

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
    columns = (TextColumn("{task.description}"), BarColumn(), far, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
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


console = Console()
errors = Console(stderr=True)


@contextmanager
def open_database(settings: CommandSettings) -> Iterator[Engine]:
    """The database, its tables brought up to date."""
    engine = connect(settings.database_url.get_secret_value())
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()
