"""`understudy doctor`: what keeps an installation from working, and the remedy of each."""

from dataclasses import asdict

import typer

from understudy.commands.options import AsJson
from understudy.terminal import DataTable, console, styled, write_json

_STYLES = {"ok": "green", "note": "yellow", "fault": "red"}


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Check folders, database, keys, ports, services, clock, disk and native parts.

    Nothing is changed but for a temporary file in each folder. A note is not a fault: it says what
    is not as fast, or not there yet.

    **Exit status**: 0 no fault, 1 a fault, 2 a setting cannot be used.

    **Examples**

        understudy doctor

        understudy doctor --json

        docker compose exec api understudy doctor
    """
    from understudy.doctor import examine  # noqa: PLC0415 - reads the settings of both services

    checks = examine()
    if as_json:
        write_json([asdict(check) for check in checks])
    else:
        table = DataTable(box=None, pad_edge=False, show_header=False)
        for name in ("", "check", "found"):
            table.add_column(name, no_wrap=name != "found")
        for check in checks:
            found = f"{check.found}; {check.remedy}" if check.remedy else check.found
            table.add_row(styled(check.state, _STYLES[check.state]), check.name, found)
        console.print(table)
    raise typer.Exit(1 if any(check.state == "fault" for check in checks) else 0)
