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
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The trail, beside the registry of the API.",
            show_default="PROD_MODELS_DIR/audit.jsonl",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of lines, newest first.")] = 20,
) -> None:
    """Print the audit trail, and check that no line of it was changed, removed or put in.

    Each line carries the digest of the one before it. Lines where tampering shows are named. A
    trail whose end was cut off still holds together.

    **Exit status**: 0 the trail is whole, 1 it was tampered with, 2 it cannot be read.

    **Examples**

        understudy audit

        understudy audit /prod_models/audit.jsonl --limit 100

        docker compose exec api understudy audit /prod_models/audit.jsonl
    """
    from api.registry.audit import broken_lines  # noqa: PLC0415 - not in the scheduler's image
    from api.settings import load_settings  # noqa: PLC0415

    trail = file or load_settings().prod_models_dir / "audit.jsonl"
    try:
        raw = trail.read_bytes()
    except OSError as error:
        raise DataUnavailable(
            f"cannot read {trail}: {error.strerror}; name the file, or set PROD_MODELS_DIR to the "
            "folder of the API's models"
        ) from error
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
