"""The governance document of one version, to be printed."""

from dataclasses import dataclass

from console.screen import NotFound, Params, Reading, Row, Screen
from shared.bundle.version import Version
from shared.contracts.models import Models
from shared.contracts.people import AuditTrailView
from shared.dossier import (
    Dossier,
    DossierParts,
    StoredParts,
    about,
    build_dossier,
    read_stored,
)


@dataclass(frozen=True, slots=True)
class DossierPage:
    """The document of a version; it names people, so it needs a session."""

    version: str
    needs_login: bool
    dossier: Dossier | None


def read(reading: Reading, params: Params) -> DossierPage:
    """Gathers from API, database and files; what is away is said in the document."""
    version = _version(params.text("version", longest=32))
    if not reading.is_logged_in:
        return DossierPage(version, True, None)
    stored = reading.database(
        ("dossier", version), lambda link: read_stored(link, version), StoredParts()
    )
    models = reading.api("/models", Models)
    trail = reading.api("/audit?limit=500", AuditTrailView)
    meta = reading.files(("meta", version), lambda files: files.meta(version), None)
    model = next((one for one in models.models if one.version == version), None) if models else None
    if model is None and meta is None and not stored.runs and not reading.troubles:
        raise NotFound(f"nothing is recorded about version {version}")
    parts = DossierParts(
        version=version,
        now_us=reading.now_us,
        manifest=None if meta is None else meta.manifest.model_dump(mode="json"),
        model=model,
        stored=stored,
        trail=None if trail is None else about(version, trail.entries),
        is_trail_whole=None if trail is None else trail.is_whole,
        missing=tuple(f"{one.source}: {one.text}" for one in reading.troubles),
    )
    return DossierPage(version, False, build_dossier(parts))


def _version(text: str) -> str:
    try:
        return str(Version.parse(text))
    except ValueError as error:
        raise NotFound("a version is written as 1.0.3") from error


def rows(view: DossierPage) -> list[Row]:
    """One line a fact."""
    if view.dossier is None:
        return []
    return [
        {"section": section.title, "name": name, "value": value}
        for section in view.dossier.sections
        for name, value in section.facts
    ]


SCREEN = Screen(
    number=11,
    path="/dossier/{version}",
    name="Dossier",
    question="What is this version, why did it go live, what happened, and who acted?",
    template="dossier.html",
    read=read,
    rows=rows,
    command=lambda params: f"understudy dossier {params.given.get('version', 'VERSION')}",
    in_navigation=False,
    refresh_seconds=0,
    title=lambda view: f"Dossier of {view.version}",
)
