"""Screen 5, Versions: what served when, what can I go back to, from which rows, who signed it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.files import AcceptedVersion, LedgerView, ModelFiles, VersionMeta
from console.render import plain
from console.screen import NotFound, Params, Reading, Row, Screen
from console.wording import metric_name
from shared.bundle.version import Version
from shared.clock import MICROS_PER_SECOND
from shared.tables.schema import model_training_runs

_MOST_VERSIONS = 300
_MOST_SERVICES = 200
# Metrics and parameters beyond this many are left out of the page, not of the JSON.
_MOST_DIFFERENCES = 200
_ENDINGS = {
    "replaced": "replaced by a newer one",
    "rolled-back": "rolled back",
    "crashed": "left after crashes",
    "revoked": "revoked",
}


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version that was accepted at some time."""

    version: str
    state: str
    accepted_at_us: int
    signed_by: str
    is_kept: bool
    can_return: bool
    why: str | None


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One time in service."""

    version: str
    from_us: int
    until_us: int | None
    seconds: float
    ended: str
    served_well: bool


@dataclass(frozen=True, slots=True)
class VersionsView:
    """Every version, and its times in service."""

    live: str | None
    services: tuple[ServiceLine, ...]
    versions: tuple[VersionLine, ...]
    candidates: tuple[str, ...]


def read_list(reading: Reading, _params: Params) -> VersionsView:
    """Reads the registry's files: neither the API nor the database is required."""
    ledger = reading.files("ledger", ModelFiles.ledger, LedgerView())
    live = reading.files("current", ModelFiles.current_version, None)
    candidates = reading.files("candidates", ModelFiles.candidates, tuple[str, ...]())
    kept = reading.files("kept", _kept, frozenset[str]())
    newest = sorted(ledger.accepted, key=Version.parse, reverse=True)[:_MOST_VERSIONS]
    return VersionsView(
        live=live,
        services=tuple(
            _service(one, reading.now_us) for one in reversed(ledger.activations[-_MOST_SERVICES:])
        ),
        versions=tuple(_line(ledger.accepted[name], live, name in kept) for name in newest),
        candidates=tuple(sorted(set(candidates) - set(ledger.accepted), key=Version.parse)),
    )


def _kept(files: ModelFiles) -> frozenset[str]:
    return frozenset(files.stored_versions())


def _service(one: Any, now_us: int) -> ServiceLine:
    until_us = one.left_at_us
    seconds = ((until_us or now_us) - one.activated_at_us) / MICROS_PER_SECOND
    ended = "live" if until_us is None else _ENDINGS.get(one.ended or "", one.ended or "replaced")
    served_well = one.served_well_at_us is not None
    return ServiceLine(one.version, one.activated_at_us, until_us, seconds, ended, served_well)


def _line(accepted: AcceptedVersion, live: str | None, is_kept: bool) -> VersionLine:
    state = _state(accepted, live, is_kept)
    return VersionLine(
        version=accepted.version,
        state=state,
        accepted_at_us=accepted.accepted_at_us,
        signed_by=accepted.key_id,
        is_kept=is_kept,
        can_return=state in {"stored", "rolled-back"},
        why=accepted.revoked_reason or accepted.rolled_back_reason,
    )


def _state(accepted: AcceptedVersion, live: str | None, is_kept: bool) -> str:
    if accepted.version == live:
        return "serving"
    if accepted.revoked_at_us is not None:
        return "revoked"
    if not is_kept:
        return "removed"
    return "stored" if accepted.rolled_back_at_us is None else "rolled-back"


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version: where it comes from, who signed it, when it served."""

    version: str
    line: VersionLine | None
    meta: VersionMeta | None
    services: tuple[ServiceLine, ...]
    runs: tuple[dict[str, Any], ...]
    report: str | None
    others: tuple[str, ...]


def read_one(reading: Reading, params: Params) -> VersionView:
    """Reads a version from the registry, and the run that made it from the database."""
    version = _version(params, "version")
    overview = read_list(reading, params)
    meta = _meta(reading, version)
    line = next((one for one in overview.versions if one.version == version), None)
    runs = reading.rows(("runs_of", version), lambda link: _runs_of(link, version))
    if line is None and meta is None and not runs and not reading.troubles:
        raise NotFound(f"there is no version {version}; Versions lists them")
    report = reading.files(
        ("report", version), lambda files: files.report_of_candidate(version), None
    )
    return VersionView(
        version=version,
        line=line,
        meta=meta,
        services=tuple(one for one in overview.services if one.version == version),
        runs=tuple(runs),
        report=None if report is None else f"/reports/candidate/{version}",
        others=tuple(one.version for one in overview.versions if one.version != version)[:20],
    )


def _meta(reading: Reading, version: str) -> VersionMeta | None:
    return reading.files(("meta", version), lambda files: files.meta(version), None)


def _version(params: Params, name: str) -> str:
    text = params.text(name, longest=64)
    try:
        return str(Version.parse(text))
    except ValueError as error:
        raise NotFound(f"{text[:40]!r} is not a version: write MAJOR.MINOR.PATCH") from error


def _runs_of(connection: Connection, version: str) -> list[dict[str, Any]]:
    table = model_training_runs
    query = (
        select(table.c.runid, table.c.status, table.c.statusmessage, table.c.finishedat)
        .where(table.c.modelversion == version)
        .order_by(table.c.runid.desc())
        .limit(10)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two versions do not share."""

    what: str
    left: Any
    right: Any


@dataclass(frozen=True, slots=True)
class CompareView:
    """Two versions beside each other."""

    left: str
    right: str
    metrics: tuple[Difference, ...]
    differences: tuple[Difference, ...]
    features_added: tuple[str, ...]
    features_removed: tuple[str, ...]
    missing: tuple[str, ...]
    versions: tuple[str, ...]


def read_compare(reading: Reading, params: Params) -> CompareView:
    """The difference of two manifests; a version whose files were removed has none."""
    known = tuple(one.version for one in read_list(reading, params).versions if one.is_kept)
    left = _version(params, "left") if params.given.get("left") else _second(known)
    right = _version(params, "right") if params.given.get("right") else (known or ("",))[0]
    metas = {name: _meta(reading, name) for name in {left, right} if name}
    found = (metas.get(left), metas.get(right))
    missing = tuple(name for name in (left, right) if name and metas.get(name) is None)
    if found[0] is None or found[1] is None:
        return CompareView(left, right, (), (), (), (), missing, known)
    one, other = found[0].manifest, found[1].manifest
    return CompareView(
        left=left,
        right=right,
        metrics=tuple(_differences("", one.metrics, other.metrics, all_of_them=True)),
        differences=tuple(_of_manifests(found[0], found[1]))[:_MOST_DIFFERENCES],
        features_added=tuple(n for n in other.feature_names if n not in set(one.feature_names)),
        features_removed=tuple(n for n in one.feature_names if n not in set(other.feature_names)),
        missing=(),
        versions=known,
    )


def _second(known: Sequence[str]) -> str:
    return known[1] if len(known) > 1 else (known[0] if known else "")


def _of_manifests(left: VersionMeta, right: VersionMeta) -> list[Difference]:
    one, other = left.manifest, right.manifest
    return [
        *_differences("training rows: ", one.training_data, other.training_data),
        *_differences("threshold: ", one.thresholds, other.thresholds),
        *_differences("parameter: ", _flat(one.hyperparameters), _flat(other.hyperparameters)),
        *_differences("library: ", one.frameworks, other.frameworks),
        *_differences("", _head(left), _head(right)),
    ]


def _head(meta: VersionMeta) -> dict[str, Any]:
    manifest = meta.manifest
    return {
        "signed by": meta.key_id,
        "size in bytes": meta.size_bytes,
        "components": ", ".join(manifest.components),
        "feature set": manifest.feature_set_version,
        "parent": manifest.parent_version,
        "created": manifest.created_at,
        "description": manifest.description,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters under dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _differences(
    prefix: str, left: Mapping[str, Any], right: Mapping[str, Any], *, all_of_them: bool = False
) -> list[Difference]:
    names = dict.fromkeys((*left, *right))
    return [
        Difference(f"{prefix}{name}", left.get(name), right.get(name))
        for name in names
        if all_of_them or left.get(name) != right.get(name)
    ]


def list_rows(view: VersionsView) -> list[Row]:
    return [plain(one) for one in view.versions]


def one_rows(view: VersionView) -> list[Row]:
    metrics = {} if view.meta is None else view.meta.manifest.metrics
    return [{"metric": metric_name(name), "value": value} for name, value in metrics.items()]


def compare_rows(view: CompareView) -> list[Row]:
    return [plain(one) for one in (*view.metrics, *view.differences)]


LIST = Screen(
    number=5,
    path="/versions",
    name="Versions",
    question="What served when, what can I go back to, from which rows, and who signed it?",
    template="versions.html",
    read=read_list,
    rows=list_rows,
    command=lambda _params: "understudy versions",
    refresh_seconds=15,
)
COMPARE = Screen(
    number=5,
    path="/versions/compare",
    name="Compare versions",
    question="In what do two versions differ?",
    template="compare.html",
    read=read_compare,
    rows=compare_rows,
    command=lambda _params: "understudy versions --json",
    in_navigation=False,
    refresh_seconds=0,
)
ONE = Screen(
    number=5,
    path="/versions/{version}",
    name="Version",
    question="Where does this version come from, who signed it, and when did it serve?",
    template="version.html",
    read=read_one,
    rows=one_rows,
    command=lambda _params: "understudy versions --json",
    in_navigation=False,
    refresh_seconds=15,
    title=lambda view: f"Version {view.version}",
)
