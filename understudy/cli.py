"""The command line: one application, put together from the groups of commands."""

import io
import sys
from typing import Annotated, NoReturn

import typer

from shared.errors import UnderstudyError
from shared.logs import configure_logging
from shared.printable import printable_line
from shared.system.files import keep_files_private
from shared.version import VERSION
from understudy.commands import (
    approve,
    audit,
    data,
    decision,
    demo,
    drift,
    keys,
    models,
    new,
    policy,
    removal,
    retrain,
    rollout,
    rows,
    runs,
    schedule,
    score,
    services,
    serving,
    upkeep,
)
from understudy.terminal import errors

app = typer.Typer(
    help="Keeps a tabular model in production fresh without ever promoting a worse one.",
    epilog="Begin with `understudy run`; every command explains itself with --help.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for group in (
    services,
    demo,
    new,
    models,
    runs,
    retrain,
    schedule,
    serving,
    approve,
    rollout,
    policy,
    drift,
    decision,
    data,
    score,
    rows,
    removal,
    keys,
    audit,
    upkeep,
):
    group.register(app)

PANELS = {
    "Begin": "run demo seed traffic new",
    "What is live": "status versions runs retrain schedule rollback revoke rollout approvals "
    "approve refuse",
    "Why": "decision dossier drift replay audit policy rehearse",
    "Rows": "import mapping rows feedback score erase archive rebuild-tiles reset",
    "Keep it running": "doctor backup restore journal token keys",
}
"""Groups of `understudy --help`, in its order; each names its commands."""


def _arrange() -> None:
    """Put every command into its group of the help."""
    panels = {name: panel for panel, names in PANELS.items() for name in names.split()}
    places = {name: place for place, name in enumerate(panels)}
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        command.name, command.rich_help_panel = name, panels.get(name, "Others")
    for folder in app.registered_groups:
        folder.rich_help_panel = panels.get(str(folder.name), "Others")
    app.registered_commands.sort(key=lambda one: places.get(str(one.name), len(places)))
    app.registered_groups.sort(key=lambda one: places.get(str(one.name), len(places)))


_arrange()


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
    """Run a command; an expected fault is one line and exit status 2."""
    keep_files_private()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # on an ASCII terminal or pipe other characters are escaped
            stream.reconfigure(errors="backslashreplace")
    configure_logging("understudy", to_stderr=True)
    try:
        app()
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


def _fail(why: str) -> NoReturn:
    errors.print(f"error: {printable_line(why)}", style="red", soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
