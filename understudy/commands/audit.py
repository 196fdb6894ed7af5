"""`understudy audit`: who changed what is served, when and why, and whether the trail is whole."""

from pathlib import Path
from typing import Annotated

import typer

from shared.contracts.audit import AuditLine
from shared.contracts.reading import parse_if_agreed
from shared.errors import DataUnavailable
from understudy.terminal import DataTable, console, errors, second_of

_SHOWN = ("at", "what", "who", "version", "why")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)


def audit(
    file: Annotated[Path, typer.Argument(help="The trail, beside the registry of the API.")] = Path(
        "prod_models/audit.jsonl"
    ),
    limit: Annotated[int, typer.Option(min=1, help="Number of lines, newest first.")] = 20,
) -> None:
    """Print the audit trail, and check that no line of it was changed, removed or put in.

    Each line carries the digest of the one before it. Exit status 1: it was tampered with,
    and the lines where it shows are named. A trail whose end was cut off still holds together.

    **Examples**

        understudy audit

        understudy audit /prod_models/audit.jsonl --limit 100

        docker compose exec api python -m understudy audit /prod_models/audit.jsonl
    """
    from api.registry.audit import broken_lines  # noqa: PLC0415 - not in the scheduler's image

    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataUnavailable(f"cannot read {file}: {error.strerror}") from error
    lines, broken = raw.splitlines(), broken_lines(raw)
    table = DataTable(*_SHOWN, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for line in reversed(lines[-limit:]):
        entry = parse_if_agreed(AuditLine, line)
        if entry is None:
            table.add_row("", "", "", "", "not a line of the trail")
        else:
            table.add_row(
                second_of(entry.at), entry.what, entry.who, entry.version or "", entry.why
            )
    console.print(table)
    if broken:
        warning = f"the trail was tampered with; see lines {broken}"
        errors.print(warning, style="red", markup=False)
        raise typer.Exit(1)
    console.print(f"{len(lines)} lines, each follows from the one before it")
