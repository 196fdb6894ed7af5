"""`understudy audit`: who changed what is served, when and why, and whether the trail is whole."""

from pathlib import Path
from typing import Annotated

import typer

from shared.contracts.audit import AuditTrailView
from shared.errors import DataUnavailable
from understudy.api_client import read_api
from understudy.commands.options import AsJson
from understudy.settings import load_settings
from understudy.terminal import DataTable, console, errors, second_of, write_json

_SHOWN = ("at", "what", "who", "version", "why")
_MOST_OF_API = 500


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)


def audit(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The trail, beside the registry of the API.",
            show_default="PROD_MODELS_DIR/audit.jsonl, or what the API at API_URL tells",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of lines, newest first.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the audit trail, and check that no line of it was changed, removed or put in.

    Each line carries the digest of the one before it. Lines where tampering shows are named. A
    trail whose end was cut off still holds together. Who: the token, and the person where one
    was named (`operator/anna`).

    **Exit status**: 0 the trail is whole, 1 it was tampered with, 2 it cannot be read.

    **Examples**

        understudy audit

        understudy audit /prod_models/audit.jsonl --limit 100

        docker compose exec api understudy audit /prod_models/audit.jsonl
    """
    found = _found(file, limit)
    if as_json:
        write_json(found.model_dump(mode="json"))
    else:
        _print(found)
    if not found.is_whole:
        warning = f"the trail was tampered with; see lines {found.broken}"
        errors.print(warning, style="red", markup=False)
        raise typer.Exit(1)
    if not as_json:
        console.print(f"{found.lines} lines, each follows from the one before it")


def _found(file: Path | None, limit: int) -> AuditTrailView:
    try:
        # the scheduler's image has neither the API package nor the trail
        from api.registry.audit import AuditReader  # noqa: PLC0415
        from api.settings import load_settings as load_api_settings  # noqa: PLC0415
    except ModuleNotFoundError:
        return _from_api(limit)
    trail = file or load_api_settings().prod_models_dir / "audit.jsonl"
    if file is None and not trail.exists():
        return _from_api(limit)
    try:
        trail.stat()
        return AuditReader(trail).page(limit)
    except OSError as error:
        raise DataUnavailable(
            f"cannot read {trail}: {error.strerror}; name the file, or set PROD_MODELS_DIR to the "
            "folder of the API's models"
        ) from error


def _from_api(limit: int) -> AuditTrailView:
    """Page after page."""
    settings, found, before = load_settings(), None, ""
    while True:
        path = f"/audit?limit={min(limit, _MOST_OF_API)}{before}"
        page = read_api(settings, path, AuditTrailView)
        if found is None:
            found = page
        else:
            found.entries += page.entries
        limit -= len(page.entries)
        if limit <= 0 or page.next_before is None:
            return found
        before = f"&before={page.next_before}"


def _print(found: AuditTrailView) -> None:
    table = DataTable(*_SHOWN, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for entry in found.entries:
        if not entry.is_readable:
            table.add_row("", "", "", "", "not a line of the trail")
            continue
        cells = (entry.what, entry.who, entry.version, entry.why)
        table.add_row(second_of(entry.at), *(cell or "" for cell in cells))
    console.print(table)
