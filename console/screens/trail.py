"""Screen 11, Trail: who changed what, when and why; is the chain whole?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.screen import Params, Reading, Row, Screen
from shared.contracts.people import AuditEntry, AuditTrailView
from shared.tables.schema import data_changes

_PAGE = 50
_CHANGES = 20


@dataclass(frozen=True, slots=True)
class DataChangeLine:
    """One change of rows by command."""

    number: int
    kind: str
    changed_at: str
    changed_by: str
    reason: str | None
    undone_by: int | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrailView:
    """A page of the trail, newest first.

    Attributes:
        needs_login: it names people, so it is shown to logged-in people only.
        is_whole: None where the trail could not be read.
        older: the query of the next page; None: this is the last one.
        newer: the query of the first page, from any other.
    """

    needs_login: bool
    is_whole: bool | None
    lines: int
    broken: tuple[int, ...]
    entries: tuple[AuditEntry, ...]
    versions: tuple[str, ...]
    changes: tuple[DataChangeLine, ...]
    older: str | None
    newer: str | None


def read(reading: Reading, params: Params) -> TrailView:
    """The API's trail, and the changes of rows in the database."""
    if not reading.is_logged_in:
        return TrailView(True, None, 0, (), (), (), (), None, None)
    before = params.integer("before", 0)
    path = f"/audit?limit={_PAGE}" + (f"&before={before}" if before else "")
    found = reading.api(path, AuditTrailView)
    changes = tuple(reading.rows("data_changes", _changes))
    if found is None:
        return TrailView(False, None, 0, (), (), (), changes, None, None)
    return TrailView(
        needs_login=False,
        is_whole=found.is_whole,
        lines=found.lines,
        broken=tuple(found.broken),
        entries=tuple(found.entries),
        versions=tuple(dict.fromkeys(one.version for one in found.entries if one.version)),
        changes=changes,
        older=None if found.next_before is None else f"before={found.next_before}",
        newer="before=0" if before else None,
    )


def _changes(connection: Connection) -> list[DataChangeLine]:
    table = data_changes
    query = (
        select(
            table.c.changeid,
            table.c.kind,
            table.c.changedat,
            table.c.changedby,
            table.c.reason,
            table.c.undoneby,
            table.c.details,
        )
        .order_by(table.c.changeid.desc())
        .limit(_CHANGES)
    )
    return [DataChangeLine(*row[:-1], _plain(row[-1])) for row in connection.execute(query)]


def rows(view: TrailView) -> list[Row]:
    """One line of the trail each."""
    return [
        {"number": one.number, "at": one.at, "what": one.what, "who": one.who,
         "version": one.version, "why": one.why, "details": _plain(one.details),
         "follows": one.follows}
        for one in view.entries
    ]  # fmt: skip


def _plain(details: Any) -> dict[str, Any]:
    return dict(details) if isinstance(details, Mapping) else {}


SCREEN = Screen(
    number=11,
    path="/trail",
    name="Trail",
    question="Who changed what, when and why, and is the chain whole?",
    template="trail.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy audit",
    refresh_seconds=0,
)
