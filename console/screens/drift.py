"""Screen 8, Drift: has reality changed, or is a data pipeline broken? Columns by checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from console.screen import Params, Reading, Row, Screen
from console.screens.common import schedules
from shared.clock import isoformat
from shared.tables.schema import model_training_runs as table

JOB = "drift"
_CHECKS = 14
_MOST_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class DriftComparison:
    """One comparison of recent rows with the training rows of the live version."""

    run_id: int
    due: str
    status: str
    answer: str
    champion: str | None
    rows: int | None
    page: str | None
    is_alarm: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One column in one check; `effect` is its distance from the training rows."""

    effect: float | None
    is_alarm: bool
    share_of_limit: float | None


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """One column over the checks, newest first."""

    name: str
    cells: tuple[Cell, ...]
    worst: float


@dataclass(frozen=True, slots=True)
class DriftView:
    """The newest checks and every column in them, the most changed first."""

    checks: tuple[DriftComparison, ...]
    columns: tuple[ColumnLine, ...]
    left_out: int
    not_checked: dict[str, str]
    next_due: str | None
    is_on: bool


def read(reading: Reading, _params: Params) -> DriftView:
    """The newest checks that are stored with their runs."""
    found = reading.rows("drift_checks", _checks)
    job = next((one for one in schedules(reading) if one.job == JOB), None)
    measured = [_columns(row["metrics"]) for row in found]
    lines = _lines(measured)
    newest = found[0]["metrics"] if found and isinstance(found[0]["metrics"], dict) else {}
    skipped = newest.get("not_checked")
    due_us = None if job is None else job.next_due_us
    return DriftView(
        checks=tuple(_check(row) for row in found),
        columns=tuple(lines[:_MOST_COLUMNS]),
        left_out=max(0, len(lines) - _MOST_COLUMNS),
        not_checked=dict(skipped) if isinstance(skipped, dict) else {},
        next_due=None if due_us is None else isoformat(due_us),
        is_on=job is not None and bool(job.is_enabled),
    )


def _checks(connection: Connection) -> list[dict[str, Any]]:
    query = (
        select(
            table.c.runid,
            table.c.scheduledfor,
            table.c.status,
            table.c.statusmessage,
            table.c.championversion,
            table.c.metrics,
        )
        .where(table.c.jobname == JOB)
        .order_by(table.c.scheduledfor.desc())
        .limit(_CHECKS)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _check(row: Mapping[str, Any]) -> DriftComparison:
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    page = metrics.get("page")
    return DriftComparison(
        row["runid"],
        row["scheduledfor"],
        row["status"],
        str(metrics.get("answer") or row["statusmessage"] or ""),
        row["championversion"],
        metrics.get("rows"),
        str(page) if page else None,
        any(one.get("alarm") is True for one in _listed(metrics)),
    )


def _listed(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = metrics.get("columns")
    return [one for one in columns if isinstance(one, dict)] if isinstance(columns, list) else []


def _columns(metrics: Any) -> dict[str, Cell]:
    listed = metrics.get("columns") if isinstance(metrics, dict) else None
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("name")): _cell(one) for one in found}


def _cell(one: Mapping[str, Any]) -> Cell:
    effect, floor = one.get("effect"), one.get("floor")
    is_known = isinstance(effect, int | float) and isinstance(floor, int | float) and floor > 0
    share = float(effect) / float(floor) if is_known and effect is not None and floor else None
    return Cell(float(effect) if effect is not None else None, bool(one.get("alarm")), share)


def _lines(measured: Sequence[Mapping[str, Cell]]) -> list[ColumnLine]:
    names = dict.fromkeys(name for check in measured for name in check)
    nothing = Cell(None, False, None)
    lines = []
    for name in names:
        cells = tuple(check.get(name, nothing) for check in measured)
        worst = max((cell.share_of_limit or 0.0) + 10.0 * cell.is_alarm for cell in cells)
        lines.append(ColumnLine(name, cells, worst))
    return sorted(lines, key=lambda line: -line.worst)


def rows(view: DriftView) -> list[Row]:
    """One line a column and check."""
    return [
        {"column": line.name, "run": check.run_id, "due": check.due, "effect": cell.effect,
         "share_of_limit": cell.share_of_limit, "alarm": cell.is_alarm}
        for line in view.columns
        for check, cell in zip(view.checks, line.cells, strict=True)
    ]  # fmt: skip


SCREEN = Screen(
    number=8,
    path="/drift",
    name="Drift",
    question="Has reality changed, or is a data pipeline broken?",
    template="drift.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy drift",
    refresh_seconds=30,
)
