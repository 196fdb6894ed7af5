"""Screen 9, Promise kept: is the live version as good as it was estimated to be?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from sqlalchemy import Connection, column, select, table

from console.screen import Params, Reading, Row, Screen
from console.screens.common import live_version, newest_of
from shared.clock import MICROS_PER_DAY
from shared.tables.job_schedules import RETRAINING
from shared.tables.schema import api_transaction_logs
from shared.tables.schema import model_training_runs as runs

_CHECKS = 30
# Runs of a job that are looked at: some have failed and measured nothing.
_NEWEST_RUNS = 100
# Days that end an age of decided rows, and the rows that are counted of each.
_AGES_DAYS = (1, 7, 14, 30, 60, 90)
_ROWS_OF_AGE = 400
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
class LabelledShare:
    """Labels of rows that were decided this many days ago; `until_days` None: and longer ago."""

    from_days: int
    until_days: int | None
    rows: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Labels of decided rows by their age; half of those labels were known within `delay_days`."""

    ages: tuple[LabelledShare, ...]
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
    rows_of_age: int
    yearly_error: YearlyError | None


def read(reading: Reading, _params: Params) -> PromiseView:
    """Drift checks hold both sides; labels are counted on decided rows of each age."""
    version = live_version(reading)
    use_case, major = _use_case(reading, version)
    coverage = reading.database(
        ("coverage", use_case, major),
        lambda link: _coverage(link, _rows_table(link, use_case, major), reading.now_us),
        None,
    )
    return PromiseView(
        version=version,
        measured=tuple(reading.rows("promises", _measured)),
        coverage=coverage,
        rows_of_age=_ROWS_OF_AGE,
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
        .where(newest_of("drift", _NEWEST_RUNS), runs.c.metrics.is_not(None))
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


def _coverage(connection: Connection, rows: Any, now_us: int) -> Coverage | None:
    """Labels of the newest rows of each age, by an index: a page must not count a million."""
    edges = (0, *_AGES_DAYS, None)
    ages, delays = [], list[int]()
    for from_days, until_days in pairwise(edges):
        known = _of_age(connection, rows, now_us, from_days or 0, until_days)
        labelled = [known_us - at_us for at_us, known_us in known if known_us is not None]
        if known:
            ages.append(LabelledShare(from_days or 0, until_days, len(known), len(labelled)))
        delays += labelled
    if not ages:
        return None
    return Coverage(tuple(ages), max(0.0, median(delays) / MICROS_PER_DAY) if delays else None)


def _of_age(
    connection: Connection, rows: Any, now_us: int, from_days: int, until_days: int | None
) -> Sequence[tuple[int, int | None]]:
    at = rows.c.event_time
    query = select(at, rows.c.label_known_at).order_by(at.desc()).limit(_ROWS_OF_AGE)
    if from_days:
        # without an upper limit for the newest: callers may be ahead of this clock
        query = query.where(at <= now_us - from_days * MICROS_PER_DAY)
    if until_days is not None:
        query = query.where(at > now_us - until_days * MICROS_PER_DAY)
    return [(at_us, known_us) for at_us, known_us in connection.execute(query)]


def _rows_table(connection: Connection, use_case: str, major: str) -> Any:
    """The table of a declared use case; else that of the use case that ships with its own."""
    name = f"{use_case}_v{major}_rows"
    if use_case and connection.dialect.has_table(connection, name):
        return table(name, column("event_time"), column("label_known_at"))
    return api_transaction_logs


def _yearly_error(connection: Connection) -> YearlyError | None:
    query = (
        select(runs.c.runid, runs.c.scheduledfor, runs.c.verdicts)
        .where(newest_of(RETRAINING, _NEWEST_RUNS), runs.c.verdicts.is_not(None))
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
