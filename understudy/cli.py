"""The command line: one application, put together from the groups of commands."""

import io
import sys
from typing import Annotated

import typer

from shared.errors import UnderstudyError
from shared.logs import configure_logging
from shared.printable import printable_line
from shared.system.files import keep_files_private
from shared.version import VERSION
from understudy.commands import (
    audit,
    cancel,
    credentials,
    data,
    drift,
    keys,
    models,
    new,
    replay,
    rows,
    runs,
    score,
    services,
)
from understudy.terminal import errors

app = typer.Typer(
    help="Keeps a tabular model in production fresh without ever promoting a worse one.",
    epilog="Begin with `understudy run`; every command explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for group in (
    services,
    new,
    models,
    runs,
    cancel,
    drift,
    replay,
    data,
    score,
    rows,
    credentials,
    keys,
    audit,
):
    group.register(app)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"understudy {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keeps a tabular model in production fresh without ever promoting a worse one."""


def main() -> None:
    """Run a command; an expected error is one line and exit status 2."""
    keep_files_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal or a pipe in ASCII shows the code of what it cannot show
            stream.reconfigure(errors="backslashreplace")
    configure_logging("understudy", to_stderr=True)
    try:
        app()
    except UnderstudyError as error:
        errors.print(f"error: {printable_line(str(error))}", style="red", soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
