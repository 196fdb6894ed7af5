"""Screen 9, Promise kept: is the live version as good as it was estimated to be?"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import Connection, column, select, table

from console.screen import Params, Reading, Row, Screen
from console.screens.common import live_version
from shared.clock import MICROS_PER_DAY, isoformat
from shared.tables.schema import api_transaction_logs
from shared.tables.schema import model_training_runs as runs

_CHECKS = 30
_NEWEST_ROWS = 10_000
_METRICS = ("average_precision", "auc")


@dataclass(frozen=True, slots=True)
class PromisedMetric:
    """One metric in one drift check: what scores promised, and what labels showed."""

    run_id: int
    due: str
    champion: str | None
    metric: str
    promised: float | None
    promised_low: float | None
    promised_high: float | None
    realised: float | None
    realised_rows: int | None
    held_out: float | None
    expected: float | None
    is_kept: bool | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Labels of the newest decided rows."""

    rows: int
    labelled: int
    since: str | None
    delay_days: float | None


@dataclass(frozen=True, slots=True)
class YearlyError:
    """The share of the year's error budget that is left after the newest comparison."""

    run_id: int
    due: str
    left: float


@dataclass(frozen=True, slots=True)
class PromiseView:
    """Estimates beside what became known, newest first."""

    version: str | None
    measured: tuple[PromisedMetric, ...]
    coverage: Coverage | None
    yearly_error: YearlyError | None


def read(reading: Reading, _params: Params) -> PromiseView:
    """Drift checks hold both sides; labels are counted on the newest decided rows."""
    version = live_version(reading)
    use_case, major = _use_case(reading, version)
    coverage = reading.database(
        ("coverage", use_case, major), lambda link: _coverage(link, use_case, major), None
    )
    return PromiseView(
        version=version,
        measured=tuple(reading.rows("promises", _measured)),
        coverage=coverage,
        yearly_error=reading.database("yearly_error", _yearly_error, None),
    )


def _use_case(reading: Reading, version: str | None) -> tuple[str, str]:
    """The use case of the live version; it names the tables of declared rows."""
    if version is None:
        return "", ""
    meta = reading.files(("meta", version), lambda files: files.meta(version), None)
    name = "" if meta is None else meta.manifest.use_case
    return (name if name.isidentifier() else ""), version.partition(".")[0]


def _measured(connection: Connection) -> list[PromisedMetric]:
    query = (
        select(runs.c.runid, runs.c.scheduledfor, runs.c.championversion, runs.c.metrics)
        .where(runs.c.jobname == "drift", runs.c.metrics.is_not(None))
        .order_by(runs.c.runid.desc())
        .limit(_CHECKS)
    )
    return [one for row in connection.execute(query) for one in _of_check(row)]


def _of_check(row: Any) -> list[PromisedMetric]:
    expected_values = row.metrics.get("outlook") if isinstance(row.metrics, dict) else None
    if not isinstance(expected_values, dict):
        return []
    found = []
    for name in _METRICS:
        promised = _part(_part(expected_values, "promised"), name)
        realised = _part(expected_values, "matured").get(name)
        low, high = promised.get("low"), promised.get("high")
        found.append(
            PromisedMetric(
                run_id=row.runid,
                due=row.scheduledfor,
                champion=row.championversion,
                metric=name,
                promised=promised.get("mean"),
                promised_low=low,
                promised_high=high,
                realised=realised,
                realised_rows=_part(expected_values, "matured").get("rows"),
                held_out=_part(expected_values, "held_out").get(name),
                expected=_part(_part(expected_values, "expected"), name).get("mean"),
                is_kept=None if low is None or realised is None else bool(realised >= low),
            )
        )
    return found


def _part(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _coverage(connection: Connection, use_case: str, major: str) -> Coverage | None:
    """Coverage of the newest rows only: a page must not count a million."""
    rows = _rows_table(connection, use_case, major)
    query = (
        select(rows.c.event_time, rows.c.label_known_at)
        .order_by(rows.c.event_time.desc())
        .limit(_NEWEST_ROWS)
    )
    found = connection.execute(query).all()
    if not found:
        return None
    delays = [known - at for at, known in found if known is not None]
    return Coverage(
        rows=len(found),
        labelled=len(delays),
        since=isoformat(found[-1][0]),
        delay_days=max(0.0, median(delays) / MICROS_PER_DAY) if delays else None,
    )


def _rows_table(connection: Connection, use_case: str, major: str) -> Any:
    """The table of a declared use case; else that of the use case that ships with its own."""
    name = f"{use_case}_v{major}_rows"
    if use_case and connection.dialect.has_table(connection, name):
        return table(name, column("event_time"), column("label_known_at"))
    return api_transaction_logs


def _yearly_error(connection: Connection) -> YearlyError | None:
    query = (
        select(runs.c.runid, runs.c.scheduledfor, runs.c.verdicts)
        .where(runs.c.jobname == "retraining", runs.c.verdicts.is_not(None))
        .order_by(runs.c.runid.desc())
        .limit(_CHECKS)
    )
    for run_id, due, verdicts in connection.execute(query):
        for verdict in verdicts if isinstance(verdicts, list) else []:
            numbers = verdict.get("numbers") if isinstance(verdict, dict) else None
            left = numbers.get("alpha_left") if isinstance(numbers, dict) else None
            if isinstance(left, int | float):
                return YearlyError(run_id, due, float(left))
    return None


def rows(view: PromiseView) -> list[Row]:
    """One line a metric and check."""
    return [
        {"run": one.run_id, "due": one.due, "version": one.champion, "metric": one.metric,
         "promised": one.promised, "promised_low": one.promised_low,
         "promised_high": one.promised_high, "realised": one.realised,
         "realised_rows": one.realised_rows, "held_out": one.held_out,
         "expected_now": one.expected, "kept": one.is_kept}
        for one in view.measured
    ]  # fmt: skip


SCREEN = Screen(
    number=9,
    path="/promise",
    name="Promise kept",
    question="Is the live version as good as it was estimated to be?",
    template="promise.html",
    read=read,
    rows=rows,
    command=lambda _params: "understudy drift",
    refresh_seconds=30,
)
