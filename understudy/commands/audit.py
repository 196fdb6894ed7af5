"""`understudy audit` and `understudy dossier`: records of who changed what, and of one version."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import SystemClock
from shared.contracts.http import Contract, ContractBroken
from shared.contracts.models import Models
from shared.contracts.people import AuditTrailView
from shared.dossier import DossierParts, about, as_html, as_markdown, build_dossier, read_stored
from shared.errors import DataUnavailable, UnderstudyError
from shared.system.files import make_folder
from shared.system.named_files import NamedFile
from shared.tables.engine import database_errors
from understudy.api_client import ApiNotThere, read_api
from understudy.commands.options import AsJson
from understudy.settings import CommandSettings, load_settings
from understudy.terminal import DataTable, console, errors, open_database, second_of, write_json

_SHOWN = ("at", "what", "who", "version", "why")
_MOST_OF_API = 500


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(audit)
    app.command()(dossier)


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
        _print_trail(found)
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


def _print_trail(found: AuditTrailView) -> None:
    table = DataTable(*_SHOWN, box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for entry in found.entries:
        if not entry.is_readable:
            table.add_row("", "", "", "", "not a line of the trail")
            continue
        cells = (entry.what, entry.who, entry.version, entry.why)
        table.add_row(second_of(entry.at), *(cell or "" for cell in cells))
    console.print(table)


class Format(StrEnum):
    """The format of the document."""

    MARKDOWN = "md"
    HTML = "html"


class NothingKnown(UnderstudyError):
    """Raised when nothing is recorded about a version."""


def dossier(
    version: Annotated[str, typer.Argument(help="See `understudy versions`.", show_default=False)],
    form: Annotated[Format, typer.Option("--format", help="md or html.")] = Format.MARKDOWN,
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="standard output")
    ] = None,
) -> None:
    """Write all that is recorded about a version: card, data, gates, rollout, alerts, people.

    What cannot be read (an API that is away, files that are gone) is said in the document.

    **Exit status**: 0 written, 2 nothing is recorded about this version.

    **Examples**

        understudy dossier 1.0.3

        understudy dossier 1.0.3 --format html --out dossier-1.0.3.html
    """
    parts = _gather(load_settings(), _version(version))
    document = build_dossier(parts)
    text = as_html(document) if form is Format.HTML else as_markdown(document)
    if out is None:
        typer.echo(text, nl=False)
    else:
        make_folder(out.absolute().parent)
        with NamedFile(out, "--out", _is_dossier) as file:
            file.text.write(text)
        errors.print(f"{out} is written", soft_wrap=True)


def _is_dossier(head: bytes) -> bool:
    return head.startswith(b"# Dossier of ") or b"<title>Dossier of " in head


def _version(text: str) -> str:
    try:
        return str(Version.parse(text))
    except ValueError as error:
        raise NothingKnown(f"{text[:40]!r} is not a version; write it as 1.0.3") from error


def _gather(settings: CommandSettings, version: str) -> DossierParts:
    missing: list[str] = []
    models = _asked(settings, "/models", Models, missing)
    trail = _asked(settings, "/audit?limit=500", AuditTrailView, missing)
    manifest = _manifest(settings, version, missing)
    with (
        open_database(settings) as engine,
        database_errors("read what is known of a version"),
        engine.connect() as connection,
    ):
        stored = read_stored(connection, version)
    known = [] if models is None else [one for one in models.models if one.version == version]
    lines = () if trail is None else about(version, trail.entries)
    if not known and manifest is None and not stored.runs and not lines:
        raise NothingKnown(
            f"nothing is recorded about version {version}; see `understudy versions`"
        )
    return DossierParts(
        version=version,
        now_us=SystemClock().now_us(),
        manifest=manifest,
        model=known[0] if known else None,
        stored=stored,
        trail=None if trail is None else lines,
        is_trail_whole=None if trail is None else trail.is_whole,
        missing=tuple(missing),
    )


def _asked(
    settings: CommandSettings, path: str, model: type[Contract], missing: list[str]
) -> Contract | None:
    try:
        return read_api(settings, path, model)
    except (ApiNotThere, ContractBroken) as error:
        missing.append(str(error))
        return None


def _manifest(settings: CommandSettings, version: str, missing: list[str]) -> dict[str, Any] | None:
    """The manifest of the candidate's bundle, which the scheduler keeps."""
    path = settings.retrained_models_dir / version / "bundle.zip"
    try:
        return unpack(path.read_bytes()).manifest.model_dump(mode="json")
    except (OSError, UnderstudyError):
        missing.append(f"no bundle of {version} in {settings.retrained_models_dir}")
        return None
