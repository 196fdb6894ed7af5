"""Screen 6, Decision: why was this row decided so?"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnClause, Connection, Select, column, desc, func, select, table

from console.screen import Params, Reading, Row, Screen
from console.screens.traffic import DecisionTable, decision_table
from shared.clock import isoformat
from shared.contracts.decisions import DecisionView

LOOKED_AT = 5_000
"""Newest decisions among which a person looks for one."""

_SHOWN = 25
# The first explanation of a version reads its trees, which takes seconds on a busy machine.
_EXPLAINED_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RecentDecision:
    """One line of the newest decisions."""

    row_id: str
    at_us: int
    decision: str | None
    score: float | None
    version: str


@dataclass(frozen=True, slots=True)
class DecisionCount:
    """The number of rows that one decision was made of, among the newest."""

    decision: str
    rows: int


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """One decision with all it rests on.

    Attributes:
        needs_login: a decision is about a person, so it is shown to logged-in people only.
        recent: without a row: the newest decisions to choose from, those of `chosen` alone if any.
    """

    row_id: str
    needs_login: bool
    decision: DecisionView | None
    recent: tuple[RecentDecision, ...] = ()
    counts: tuple[DecisionCount, ...] = ()
    chosen: str = ""


def read(reading: Reading, params: Params) -> DecisionPage:
    """The API's answer for the row that the address names; without one, the newest decisions."""
    row_id = params.text("id", longest=256).strip()
    if not reading.is_logged_in:
        return DecisionPage("", True, None)
    if not row_id:
        return _newest(reading, params.text("decision", longest=64))
    path = f"/decisions/{quote(row_id, safe='')}"
    found = reading.api(
        path, DecisionView, absent="unknown-row", timeout_seconds=_EXPLAINED_SECONDS
    )
    return DecisionPage(row_id, False, found)


def _newest(reading: Reading, chosen: str) -> DecisionPage:
    found = decision_table(reading)
    if found is None:
        return DecisionPage("", False, None)
    counts = reading.rows(("decision_counts", found.name), lambda link: _counts(link, found))
    recent = reading.rows(("recent", found.name, chosen), lambda link: _recent(link, found, chosen))
    return DecisionPage("", False, None, tuple(recent), tuple(counts), chosen)


def _walked(found: DecisionTable, *names: str) -> Select[Any]:
    """The newest decisions by the index: a page must not search a million."""
    wanted: dict[str, ColumnClause[Any]] = {
        name: column(name) for name in (found.ordered_by, *names)
    }
    source = table(found.name, *wanted.values())
    ordered = desc(source.c[found.ordered_by])
    return select(*(source.c[name] for name in names)).order_by(ordered).limit(LOOKED_AT)


def _counts(connection: Connection, found: DecisionTable) -> list[DecisionCount]:
    newest = _walked(found, "decision").where(column("decision").is_not(None)).subquery()
    decision = newest.c.decision
    query = select(decision, func.count()).group_by(decision).order_by(desc(func.count()))
    return [DecisionCount(str(name), count) for name, count in connection.execute(query.limit(20))]


def _recent(connection: Connection, found: DecisionTable, chosen: str) -> list[RecentDecision]:
    names = (found.row_id, found.decided_at, "decision", "score", "model_version")
    newest = _walked(found, *names).subquery()
    query = select(*(newest.c[name] for name in names)).limit(_SHOWN)
    if chosen:
        query = query.where(newest.c.decision == chosen)
    return [RecentDecision(*row) for row in connection.execute(query)]


def rows(view: DecisionPage) -> list[Row]:
    """One line a contribution of a feature; without a row, one a recent decision."""
    if view.decision is None:
        return [
            {"row_id": one.row_id, "decided_at": isoformat(one.at_us), "decision": one.decision,
             "score": one.score, "version": one.version}
            for one in view.recent
        ]  # fmt: skip
    return [
        {"row_id": view.row_id, "part": part.name, "scale": part.scale, "feature": one.feature,
         "value": one.value, "contribution": one.contribution}
        for part in view.decision.explanation.parts
        for one in part.contributions
    ]  # fmt: skip


def _command(params: Params) -> str:
    row_id: Any = params.given.get("id") or "ID"
    is_plain = str(row_id).replace("-", "").replace("_", "").isalnum()
    return f"understudy decision {row_id if is_plain else 'ID'}"


SCREEN = Screen(
    number=6,
    path="/decisions",
    name="Decision",
    question="Why was this row decided so?",
    template="decision.html",
    read=read,
    rows=rows,
    command=_command,
    refresh_seconds=0,
)
