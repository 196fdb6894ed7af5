"""The command line: commands that are imported when they are used, and how an error ends one."""

import importlib
import io
import sys
from collections import UserDict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, NoReturn

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from shared.errors import UnderstudyError
from shared.printable import printable_line
from shared.system.files import keep_files_private
from shared.version import VERSION
from understudy.commands import PANELS, SUMMARIES


class LazyGroup(TyperGroup):
    """The commands of PANELS; what is imported is the module of the one that is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        modules = {name: module for module, names in SUMMARIES.items() for name in names}
        names = " ".join(PANELS.values()).split()
        self.commands = _ModuleCommands({name: modules[name] for name in names})

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help from the list alone."""
        summaries = {name: text for names in SUMMARIES.values() for name, text in names.items()}
        imported = self.commands
        self.commands = {
            name: TyperCommand(name, help=summaries[name], rich_help_panel=panel)
            for panel, names in PANELS.items()
            for name in names.split()
        }
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = imported


class _ModuleCommands(UserDict[str, Any]):
    """Name -> command, made of name -> module."""

    def __getitem__(self, name: str) -> Any:
        return commands_of(self.data[name])[name]


@cache
def commands_of(module: str) -> Mapping[str, Any]:
    """Name -> command, of a module of understudy.commands."""
    part = typer.Typer(rich_markup_mode="markdown")
    importlib.import_module(f"understudy.commands.{module}").register(part)
    return typer.main.get_group(part).commands


app = typer.Typer(
    cls=LazyGroup,
    help="Keeps a tabular model in production fresh without ever promoting a worse one.",
    epilog="Begin with `understudy run`; every command explains itself with --help.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"understudy {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Keeps a tabular model in production fresh without ever promoting a worse one."""
    begin: Callable[[], None] | None = context.obj
    if begin is not None:
        begin()


def main() -> None:
    """Run a command; an expected fault is one line and exit status 2."""
    keep_files_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # on an ASCII terminal or pipe other characters are escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        app(obj=_begin)
    except UnderstudyError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(
            f"this command needs {error.name}, which is not installed here: in a container, run "
            "it in the other service's; elsewhere install requirements.txt"
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(
            f"{where}{error.strerror or error}; `understudy doctor` says which folders of the "
            "settings can be written"
        )


def _begin() -> None:
    """Begin the log: each command needs it, and the list of all of them does not."""
    from shared.logs import configure_logging  # noqa: PLC0415

    configure_logging("understudy", to_stderr=True)


def _fail(why: str) -> NoReturn:
    from understudy.terminal import errors  # noqa: PLC0415 - imports what database commands need

    errors.print(f"error: {printable_line(why)}", style="red", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
