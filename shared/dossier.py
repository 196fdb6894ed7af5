"""The governance document of one version: what it is, why it went live, what happened, who acted.

`build_dossier` is pure: the command line and the console gather the parts, each from what it
reads anyway, and `as_markdown` and `as_html` write the same content. Every stored text is escaped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from sqlalchemy import Connection, select

from shared.clock import to_the_second
from shared.contracts.models import ModelSummary
from shared.contracts.people import AuditEntry
from shared.printable import printable
from shared.tables.schema import approvals as approvals_table
from shared.tables.schema import model_training_runs as runs_table
from shared.tables.schema import rollout_looks

_MOST_RUNS, _MOST_LOOKS, _MOST_CHECKS = 20, 500, 50
_CELL_CHARACTERS = 400
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()#+!|<>~"})

Row = Mapping[str, Any]
Cells = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class StoredParts:
    """The parts of a dossier that the database holds."""

    runs: tuple[Row, ...] = ()
    approvals: tuple[Row, ...] = ()
    looks: tuple[Row, ...] = ()
    checks: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class DossierParts:
    """Everything that was gathered.

    Attributes:
        manifest: of the bundle; None where its files are gone.
        trail: lines of the audit trail about the version; None: it could not be read.
        missing: what could not be gathered, and why.
    """

    version: str
    now_us: int
    manifest: Row | None = None
    model: ModelSummary | None = None
    stored: StoredParts = field(default_factory=StoredParts)
    trail: tuple[AuditEntry, ...] | None = None
    is_trail_whole: bool | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the document."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dossier:
    """The document."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def read_stored(connection: Connection, version: str) -> StoredParts:
    """Reads the parts of a version's dossier from the database; each list is bounded."""
    runs, looks = runs_table, rollout_looks
    of_version = select(runs).where(runs.c.modelversion == version).order_by(runs.c.runid.desc())
    checks = (
        select(runs.c.runid, runs.c.scheduledfor, runs.c.statuscode, runs.c.statusmessage)
        .where(runs.c.jobname == "drift", runs.c.championversion == version)
        .order_by(runs.c.runid.desc())
    )
    approved = select(approvals_table).where(approvals_table.c.version == version)
    looked = (
        select(looks.c.lookedat, looks.c.sharepercent, looks.c.step, looks.c.code, looks.c.reason)
        .where(looks.c.version == version)
        .order_by(looks.c.lookedat.desc())
    )
    return StoredParts(
        runs=_rows(connection, of_version.limit(_MOST_RUNS)),
        approvals=_rows(connection, approved.limit(_MOST_RUNS)),
        looks=_rows(connection, looked.limit(_MOST_LOOKS)),
        checks=_rows(connection, checks.limit(_MOST_CHECKS)),
    )


def _rows(connection: Connection, query: Any) -> tuple[Row, ...]:
    return tuple(dict(row) for row in connection.execute(query).mappings())


def build_dossier(parts: DossierParts) -> Dossier:
    """The document of what was gathered; what is missing is said."""
    manifest = parts.manifest or {}
    name = f"{manifest.get('model_name') or manifest.get('use_case') or 'model'} {parts.version}"
    sections = (
        _card(parts, manifest),
        _data(manifest),
        _gates(parts.stored.runs),
        _people(parts),
        _rollout(parts.stored.looks),
        _alerts(parts),
        _trail(parts),
    )
    lead = f"Made {to_the_second(parts.now_us)} from the records of this system."
    if parts.missing:
        lead += f" Not available: {'; '.join(parts.missing)}."
    return Dossier(f"Dossier of {name}", lead, sections)


def _card(parts: DossierParts, manifest: Row) -> Section:
    model = parts.model
    facts = [
        ("version", parts.version),
        ("state", "never accepted by the API" if model is None else model.state),
        ("description", manifest.get("description")),
        ("components", ", ".join(manifest.get("components") or ())),
        ("features", _features(manifest)),
        ("parent version", manifest.get("parent_version")),
        ("made with", _listed(manifest.get("frameworks"))),
        ("thresholds", _listed(manifest.get("thresholds"))),
    ]
    if model is not None:
        facts += [
            ("accepted", model.accepted_at),
            ("last served from", model.last_activated_at),
            ("rolled back", _when_why(model.rolled_back_at, model.rolled_back_reason)),
            ("revoked", _when_why(model.revoked_at, model.revoked_reason)),
            ("sha256 of the bundle", model.sha256),
            ("signed by key", model.signed_by),
        ]
    return Section("Card", _facts(facts), (_metrics(manifest),))


def _features(manifest: Row) -> str | None:
    names = manifest.get("feature_names") or ()
    if not names:
        return None
    return f"{len(names)} of set {manifest.get('feature_set_version')}"


def _metrics(manifest: Row) -> Table:
    bounds = manifest.get("metric_intervals") or {}
    rows = []
    for name, value in (manifest.get("metrics") or {}).items():
        low, high = (*(bounds.get(name) or ()), None, None)[:2]
        between = "" if low is None else f"{_number(low)} to {_number(high)}"
        rows.append((_text(name), _number(value), between))
    return Table(("metric on held-out rows", "value", "95 %"), tuple(rows))


def _data(manifest: Row) -> Section:
    data = manifest.get("training_data") or {}
    named = ("rows", "positives", "window_start", "window_end", "sha256")
    facts = [(name.replace("_", " "), data.get(name)) for name in named]
    declared = manifest.get("hyperparameters") or {}
    recipe = Table(("part of the recipe", "value"), _table_rows(declared.items()))
    return Section("Data and recipe", _facts(facts), (recipe,))


def _gates(runs: Sequence[Row]) -> Section:
    """The run that trained it: the newest one with verdicts."""
    run = next((one for one in runs if one.get("verdicts")), None)
    if run is None:
        return Section("Gates", note="No run of this version is recorded: it was pushed by hand.")
    facts = [
        ("run", run.get("runid")),
        ("due", run.get("scheduledfor")),
        ("asked for by", run.get("requestedby")),
        ("compared with", run.get("championversion") or "no model"),
        ("outcome", f"{run.get('status')} ({run.get('statuscode')})"),
        ("why", run.get("statusmessage")),
    ]
    listed = run["verdicts"] if isinstance(run["verdicts"], list) else []
    verdicts = [
        (one.get("gate"), one.get("outcome"), one.get("reason"))
        for one in listed
        if isinstance(one, Mapping)
    ]
    return Section(
        "Gates", _facts(facts), (Table(("gate", "verdict", "why"), _table_rows(verdicts)),)
    )


def _people(parts: DossierParts) -> Section:
    decided = [
        (one["state"], _instant(one["requestedat"]), _instant(one["decidedat"]),
         one["decidedby"], one["reason"])
        for one in parts.stored.approvals
    ]  # fmt: skip
    head = ("approval", "wanted", "decided", "by", "why")
    named = [one.who for one in parts.trail or () if one.who and "/" in one.who]
    people = ", ".join(dict.fromkeys(_text(name) for name in named))
    facts = _facts([("people in the trail of this version", people or "none by name")])
    note = "" if decided else "No person had to approve it (APPROVAL=off), or none was asked."
    return Section("People", facts, (Table(head, _table_rows(decided)),), note)


def _rollout(looks: Sequence[Row]) -> Section:
    if not looks:
        return Section("Rollout", note="It was never on trial: it went live at once, or never.")
    steps: list[tuple[Any, ...]] = []
    for look in reversed(looks):
        same = steps and steps[-1][1:4] == (look["sharepercent"], look["step"], look["code"])
        if not same:
            steps.append(
                (_instant(look["lookedat"]), look["sharepercent"], look["step"], look["code"],
                 look["reason"])
            )  # fmt: skip
    table = Table(("first look", "percent of users", "step", "code", "why"), _table_rows(steps))
    return Section("Rollout", _facts([("looks", len(looks))]), (table,))


def _alerts(parts: DossierParts) -> Section:
    checks = [
        (one["scheduledfor"], one["statuscode"], one["statusmessage"])
        for one in parts.stored.checks
    ]
    left = {"breaker", "crash", "rollback", "revocation", "rollout-ended"}
    lines = [
        (one.at, one.what, one.who, one.why)
        for one in parts.trail or ()
        if one.what in left
    ]  # fmt: skip
    return Section(
        "Alerts and drift while it served",
        (),
        (
            Table(("drift check due", "result", "answer"), _table_rows(checks)),
            Table(("when", "what", "by", "why"), _table_rows(lines)),
        ),
    )


def _trail(parts: DossierParts) -> Section:
    if parts.trail is None:
        return Section("Trail", note="The audit trail could not be read.")
    chain = {True: "whole", False: "broken: it was tampered with", None: "not checked"}
    lines = [(one.number, one.at, one.what, one.who, one.why) for one in parts.trail]
    table = Table(("line", "when", "what", "who", "why"), _table_rows(lines))
    return Section("Trail", _facts([("chain", chain[parts.is_trail_whole])]), (table,))


def about(version: str, entries: Iterable[AuditEntry]) -> tuple[AuditEntry, ...]:
    """The lines of the trail that are about a version, or leave it."""
    return tuple(one for one in entries if version in (one.version, one.details.get("previous")))


def _facts(found: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in found if value not in (None, "", ()))


def _table_rows(found: Iterable[Sequence[Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(_text(cell) for cell in row) for row in found)


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return printable(" ".join(text.split()))[:_CELL_CHARACTERS]


def _instant(instant_us: int | None) -> str:
    return "" if instant_us is None else to_the_second(instant_us)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else _text(value)


def _listed(found: Any) -> str:
    if not isinstance(found, Mapping):
        return ""
    return ", ".join(f"{name} {_number(value)}" for name, value in found.items())


def _when_why(at: str | None, why: str | None) -> str | None:
    return None if at is None else f"{at}: {why or 'no reason was given'}"


def as_markdown(dossier: Dossier) -> str:
    """The document as Markdown."""
    lines = [f"# {_md(dossier.title)}", "", _md(dossier.lead), ""]
    for section in dossier.sections:
        lines += [f"## {_md(section.title)}", ""]
        if section.note:
            lines += [_md(section.note), ""]
        lines += [f"- {_md(name)}: {_md(value)}" for name, value in section.facts]
        lines += [""] if section.facts else []
        for table in section.tables:
            if table.rows:
                lines += [_md_row(table.head), _md_row(["---"] * len(table.head), raw=True)]
                lines += [_md_row(row) for row in table.rows]
                lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _md(text: str) -> str:
    return text.replace("&", "&amp;").translate(_MARKDOWN)


def _md_row(cells: Sequence[str], *, raw: bool = False) -> str:
    return "| " + " | ".join(cell if raw else _md(cell) for cell in cells) + " |"


_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1rem}"
    "th,td{border:1px solid;padding:.2rem .5rem;text-align:left;vertical-align:top}"
    "@media print{h2{break-after:avoid}tr{break-inside:avoid}}"
)


def as_html(dossier: Dossier) -> str:
    """The document as one page without scripts, to be printed."""
    body = [f"<h1>{escape(dossier.title)}</h1><p>{escape(dossier.lead)}</p>"]
    for section in dossier.sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        if section.note:
            body.append(f"<p>{escape(section.note)}</p>")
        if section.facts:
            facts = (f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in section.facts)
            body.append(f"<dl>{''.join(facts)}</dl>")
        body += [_html_table(table) for table in section.tables if table.rows]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(dossier.title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
