"""Prometheus metrics of schedules, drift checks and notifications, from the database.

Read at each scrape: two schedulers report the same values, and a restart loses nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.drift.alarm import ALARM
from scheduler.run_history import newest_check
from scheduler.schedule.jobs import JOBS
from scheduler.schedule.watcher import REQUESTED_BY
from shared.clock import MICROS_PER_SECOND
from shared.errors import DataUnavailable
from shared.machine_metrics import BuildInfo, NativeParts
from shared.tables.job_schedules import JobSchedule, read_schedules
from shared.tables.notifications import Delivery, Event, count_notifications
from shared.tables.run_counts import JobCounts, count_runs
from shared.tables.runs import RunStatus

# Not ON_TRIAL: a counter must not fall when the rollout ends.
OUTCOMES = {
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.REFUSED: "succeeded",
    RunStatus.NOT_DUE: "not_due",
    RunStatus.FAILED: "failed",
    RunStatus.SKIPPED: "skipped",
    RunStatus.MISSED: "missed",
}

# not `job`: Prometheus sets that label to the name of the scrape job
_JOB = "job_name"
_METRICS = ("average_precision", "auc")

_REALISED = {
    "rows": "Recent rows whose labels have matured",
    "positives": "Positives among them",
    "average_precision": "Average precision of the champion on them",
    "auc": "Area under its ROC curve on them",
}


def scheduler_registry(engine: Engine, *others: Collector) -> CollectorRegistry:
    """Every figure of a scheduler; `others` are those that need more than the database."""
    registry = CollectorRegistry()
    own = (
        ScheduleFigures(engine),
        DriftFigures(engine),
        NotificationFigures(engine),
        NativeParts(),
        BuildInfo("scheduler"),
    )
    for collector in (*own, *others):
        registry.register(collector)
    return registry


def serve_metrics(
    registry: CollectorRegistry, host: str, port: int, log: FilteringBoundLogger
) -> None:
    """Answer GET /metrics in a separate thread; a port that is taken costs only the figures."""
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        log.warning("metrics_not_served", port=port, reason=str(error))
        return
    log.info("metrics_served", url=f"http://{host}:{port}/metrics")


class ScheduleFigures(Collector):
    """Counts of due instants by outcome, and the state of each schedule."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        reached = GaugeMetricFamily(
            "understudy_scheduler_database_up", "1 while the scheduler can read the database"
        )
        try:
            counts = count_runs(self._engine, REQUESTED_BY)
            schedules = read_schedules(self._engine)
        except DataUnavailable:
            reached.add_metric([], 0)
            return [reached]
        reached.add_metric([], 1)
        return [reached, *_of_runs(counts), *_of_schedules(schedules)]


def _of_runs(counts: Sequence[JobCounts]) -> Iterable[Metric]:
    ended = CounterMetricFamily(
        "understudy_runs", "Runs in a final state", labels=[_JOB, "outcome", "status"]
    )
    open_runs = GaugeMetricFamily(
        "understudy_runs_unfinished", "Runs that wait or are in progress", labels=[_JOB, "status"]
    )
    last = _gauge("understudy_run_last_success_timestamp_seconds", "End of the last successful run")
    since = _gauge("understudy_runs_due_since_success", "Due instants since the last success")
    known = {one.job for one in counts}
    for one in (*counts, *(JobCounts(job, {}, None, 0) for job in JOBS if job not in known)):
        for status, number in {**dict.fromkeys(RunStatus, 0), **one.by_status}.items():
            if status in OUTCOMES:
                ended.add_metric([one.job, OUTCOMES[status], status], number)
            else:
                open_runs.add_metric([one.job, status], number)
        if one.last_done is not None:
            last.add_metric([one.job], datetime.fromisoformat(one.last_done).timestamp())
        since.add_metric([one.job], one.due_since_done)
    return [ended, open_runs, last, since]


def _of_schedules(schedules: Sequence[JobSchedule]) -> Iterable[Metric]:
    enabled = _gauge("understudy_schedule_enabled", "1 while the schedule is switched on")
    wrong = _gauge("understudy_schedule_problem", "1 while its configuration does not parse")
    checked = _gauge(
        "understudy_schedule_checked_timestamp_seconds", "Time of the last check by a scheduler"
    )
    upcoming = _gauge("understudy_schedule_next_due_timestamp_seconds", "The next due instant")
    for one in schedules:
        enabled.add_metric([one.job], one.is_enabled)
        wrong.add_metric([one.job], one.problem is not None)
        checked.add_metric([one.job], one.checked_at_us / MICROS_PER_SECOND)
        if one.next_due_us is not None:
            upcoming.add_metric([one.job], one.next_due_us / MICROS_PER_SECOND)
    return [enabled, wrong, checked, upcoming]


def _gauge(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=[_JOB])


class DriftFigures(Collector):
    """Collects the alarm, the distance of each column, and the age of the newest check."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        try:
            checked = newest_check(self._engine)
        except DataUnavailable:
            return []
        alarm = GaugeMetricFamily("understudy_drift_alarm", "1 while the newest check is an alarm")
        looked = GaugeMetricFamily(
            "understudy_drift_checked_timestamp_seconds", "Time of the newest drift check"
        )
        ratio = GaugeMetricFamily(
            "understudy_drift_effect_ratio",
            "Effect of the drift of a column, as a multiple of its floor",
            labels=["column"],
        )
        if checked is not None:
            alarm.add_metric([], checked.found[ALARM])
            looked.add_metric([], datetime.fromisoformat(checked.finished_at).timestamp())
            for column in checked.found["columns"]:
                ratio.add_metric([column["name"]], column["effect"] / column["floor"])
        prediction = {} if checked is None else checked.found.get("outlook", {})
        return [alarm, looked, ratio, *_realised(prediction), *_estimated(prediction)]


def _realised(prediction: Mapping[str, Any]) -> Iterable[Metric]:
    """Realised metrics of rows that the champion scored and whose labels are known since."""
    matured = prediction.get("matured") or {}
    for name, text in _REALISED.items():
        family = GaugeMetricFamily(f"understudy_matured_{name}", text)
        if matured.get(name) is not None:
            family.add_metric([], matured[name])
        yield family


def _estimated(prediction: Mapping[str, Any]) -> Iterable[Metric]:
    """Metrics estimated from calibrated scores: of the matured rows, and of the whole window."""
    for part, rows in (("promised", "the matured rows"), ("expected", "recent rows")):
        for name in _METRICS:
            family = GaugeMetricFamily(
                f"understudy_{part}_{name}",
                f"Estimate of {name} on {rows}: its mean, and where nine in ten draws lie",
                labels=["bound"],
            )
            estimate = (prediction.get(part) or {}).get(name) or {}
            known = {bound: value for bound, value in estimate.items() if value is not None}
            for bound, value in known.items():
                family.add_metric([bound], value)
            yield family


class NotificationFigures(Collector):
    """Every event and outcome is there from the start, at 0."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "understudy_notifications",
            "Notifications that were delivered, or given up",
            labels=["event", "outcome"],
        )
        waits = GaugeMetricFamily(
            "understudy_notifications_waiting", "Notifications that are still to be delivered"
        )
        try:
            counts = count_notifications(self._engine)
        except DataUnavailable:
            return []
        for event in Event:
            for outcome in (Delivery.SENT, Delivery.GIVEN_UP):
                number = counts.get((event.value, outcome.value), 0)
                ended.add_metric([event.value, outcome.value], number)
        waits.add_metric(
            [], sum(n for (_, state), n in counts.items() if state == Delivery.WAITING.value)
        )
        return [ended, waits]
