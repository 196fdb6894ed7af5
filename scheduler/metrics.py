"""Prometheus metrics, read from the database at each scrape.

The process keeps no counters: two schedulers report the same values, and a restart loses nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from native.metrics import NativeParts
from scheduler.drift.metrics import DriftFigures
from scheduler.notify.metrics import NotificationFigures
from scheduler.schedule.jobs import JOBS
from scheduler.schedule.watcher import REQUESTED_BY
from shared.clock import MICROS_PER_SECOND
from shared.errors import DataUnavailable
from shared.machine_metrics import BuildInfo
from shared.tables.job_schedules import JobSchedule, read_schedules
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
