"""`understudy audit`: who changed what is served, when and why, and whether the trail is whole."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shared.errors import DataUnavailable
from understudy.terminal import console, errors

_SHOWN = ("at", "what", "who", "version", "why")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)


def audit(
    file: Annotated[Path, typer.Argument(help="The trail, beside the registry of the API.")] = Path(
        "prod_models/audit.jsonl"
    ),
    limit: Annotated[int, typer.Option(min=1, help="So many lines, newest first.")] = 20,
) -> None:
    """Print the audit trail, and check that no line of it was changed, removed or put in.

    Each line carries the digest of the one before it. Exit status 1: somebody tampered with it,
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
    table = Table(*_SHOWN)
    for line in reversed(lines[-limit:]):
        told = _read(line)
        table.add_row(*(str(told.get(name, "")) for name in _SHOWN))
    console.print(table)
    if broken:
        warning = f"the trail was tampered with; see lines {broken}"
        errors.print(warning, style="red", markup=False)
        raise typer.Exit(1)
    console.print(f"{len(lines)} lines, each follows from the one before it")


def _read(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"why": "not a line of the trail"}
