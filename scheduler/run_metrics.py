"""Metrics of finished runs: durations, verdicts, the year's error, whether the champion is scored.

Counted from the stored runs, each once: every scheduler reports the same, and a restart loses
nothing. A final run does not change any more, so only newer ones are read at a scrape.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from sqlalchemy import Engine, Row, select
from structlog.typing import FilteringBoundLogger

from scheduler.decision import REQUIRED_GATES
from scheduler.schedule.jobs import JOBS, RETRAINING
from scheduler.statistics.policy import alpha_left
from shared.clock import Clock, to_datetime
from shared.errors import DataUnavailable
from shared.tables.engine import database_errors
from shared.tables.runs import UNFINISHED
from shared.tables.schema import model_training_runs as table
from shared.usecase.policy import PromotionPolicy
from shared.verdicts import Outcome

RUN_BUCKETS = (10.0, 30.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0)
COMPARING_GATE, COMPARED = "metrics", "compared"
"""The gate, and its number that is true where champion and candidate were compared."""
_BATCH = 500


class FinishedRuns:
    """Counts over all runs in a final state, brought up to date by `read`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Every run up to this number is final and counted; of the later ones, those in `_counted`.
        self._all_until = 0
        self._counted: set[int] = set()
        self.buckets = {job: [0] * (len(RUN_BUCKETS) + 1) for job in JOBS}
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.steps: Counter[tuple[str, str]] = Counter()
        self.step_seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.verdicts = Counter({(gate, str(one)): 0 for gate in REQUIRED_GATES for one in Outcome})
        self.compared: Counter[int] = Counter()

    def read(self) -> None:
        """Count the runs that have become final since.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        after, waits_for = self._all_until, None
        with database_errors("read finished runs"), self._engine.connect() as connection:
            while True:
                query = select(table).where(table.c.runid > after).order_by(table.c.runid)
                rows = connection.execute(query.limit(_BATCH)).all()
                waits = [row.runid for row in rows if row.status in UNFINISHED]
                waits_for = next(iter(waits), None) if waits_for is None else waits_for
                for row in rows:
                    self._count_if_final(row)
                if len(rows) < _BATCH:
                    break
                after = rows[-1].runid
        self._forget_until(waits_for)

    def _forget_until(self, unfinished: int | None) -> None:
        """Remember only ids behind the first run that is not final."""
        known = {self._all_until, *self._counted}
        self._all_until = max(known) if unfinished is None else unfinished - 1
        self._counted = {run_id for run_id in self._counted if run_id > self._all_until}

    def _count_if_final(self, row: Row[*tuple[Any, ...]]) -> None:
        if row.status not in UNFINISHED and row.runid not in self._counted:
            self._count(row)

    def _count(self, row: Row[*tuple[Any, ...]]) -> None:
        self._counted.add(row.runid)
        seconds = _seconds(row.startedat, row.finishedat)
        if seconds is not None:
            buckets = self.buckets.setdefault(row.jobname, [0] * (len(RUN_BUCKETS) + 1))
            buckets[bisect_left(RUN_BUCKETS, seconds)] += 1
            self.seconds[row.jobname] += seconds
        for step in _members(row.steps):
            name = (row.jobname, str(step.get("step")))
            self.steps[name] += 1
            self.step_seconds[name] += float(step.get("duration_seconds") or 0.0)
        for verdict in _members(row.verdicts):
            self.verdicts[str(verdict.get("gate")), str(verdict.get("outcome"))] += 1
        if row.jobname == RETRAINING and _has_compared(row.verdicts):
            self.compared[int(row.scheduledfor[:4])] += 1


class RunMetrics(Collector):
    """Durations of runs and steps, verdicts of gates, and the error left for this year."""

    def __init__(self, engine: Engine, policy: PromotionPolicy | None, clock: Clock) -> None:
        self._runs = FinishedRuns(engine)
        self._policy = policy
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        try:
            self._runs.read()
        except DataUnavailable:
            return []
        return [*self._durations(), self._verdicts(), *self._yearly_error()]

    def _durations(self) -> Iterable[Metric]:
        runs, edges = self._runs, [*map(str, RUN_BUCKETS), "+Inf"]
        durations = HistogramMetricFamily(
            "understudy_run_duration_seconds", "From start to end of a run", labels=["job_name"]
        )
        for job, buckets in runs.buckets.items():
            counted = list(zip(edges, map(float, accumulate(buckets)), strict=True))
            durations.add_metric([job], counted, runs.seconds[job])
        steps = SummaryMetricFamily(
            "understudy_step_duration_seconds",
            "Duration of a step of a run",
            labels=["job_name", "step"],
        )
        for name, count in runs.steps.items():
            steps.add_metric(name, count, runs.step_seconds[name])
        return durations, steps

    def _verdicts(self) -> Metric:
        verdicts = CounterMetricFamily(
            "understudy_gate_verdicts", "Verdicts of gates", labels=["gate", "verdict"]
        )
        for names, count in self._runs.verdicts.items():
            verdicts.add_metric(names, count)
        return verdicts

    def _yearly_error(self) -> Iterable[Metric]:
        limit = GaugeMetricFamily(
            "understudy_yearly_error_limit",
            "Probability of a wrong promotion that a year may spend",
        )
        left = GaugeMetricFamily(
            "understudy_yearly_error_left", "What the comparisons of this year have left of it"
        )
        compared = GaugeMetricFamily(
            "understudy_yearly_comparisons", "Comparisons with the champion, this year (UTC)"
        )
        rounds = self._runs.compared[to_datetime(self._clock.now_us()).year]
        compared.add_metric([], rounds)
        policy = self._policy
        if policy is not None:
            limit.add_metric([], policy.yearly_alpha)
            remaining = alpha_left(policy.yearly_alpha, policy.rounds_per_year, rounds)
            left.add_metric([], max(0.0, remaining))
        return limit, left, compared


def _seconds(started_at: str | None, finished_at: str | None) -> float | None:
    if started_at is None or finished_at is None:
        return None
    begun, ended = map(datetime.fromisoformat, (started_at, finished_at))
    return max(0.0, (ended - begun).total_seconds())


def _members(stored: Any) -> list[dict[str, Any]]:
    return [one for one in stored if isinstance(one, dict)] if isinstance(stored, list) else []


def _has_compared(verdicts: Any) -> bool:
    return any(
        verdict.get("gate") == COMPARING_GATE and verdict.get("numbers", {}).get(COMPARED) is True
        for verdict in _members(verdicts)
    )


class ChampionMetrics(Collector):
    """Metrics of the promotion policy's limits and of the newest retraining's results."""

    def __init__(self, engine: Engine, policy: PromotionPolicy | None) -> None:
        self._engine = engine
        self._policy = policy

    def collect(self) -> Iterable[Metric]:
        allowed = GaugeMetricFamily(
            "understudy_unscorable_champion_allowed",
            "1 while the policy lets a champion that cannot be scored be replaced by floors alone",
        )
        unscorable = GaugeMetricFamily(
            "understudy_champion_unscorable",
            "1 while the newest retraining could not score the champion",
        )
        if self._policy is not None:
            allowed.add_metric([], self._policy.allow_unscorable_champion)
        try:
            unscorable.add_metric([], _is_unscorable(self._engine))
        except DataUnavailable:
            return [allowed]
        return [allowed, unscorable]


def warn_of_policy(policy: PromotionPolicy | None, log: FilteringBoundLogger) -> None:
    """Log a warning at every start while the policy allows it."""
    if policy is not None and policy.allow_unscorable_champion:
        log.warning(
            "unscorable_champion_allowed",
            policy=policy.name,
            remedy="set allow_unscorable_champion = false in the use case's policy.toml",
        )


def _is_unscorable(engine: Engine) -> bool:
    query = (
        select(table.c.decision)
        .where(table.c.jobname == RETRAINING, table.c.decision.is_not(None))
        .order_by(table.c.runid.desc())
        .limit(1)
    )
    with database_errors("read the newest decision"), engine.connect() as connection:
        decision = connection.scalar(query)
    if not isinstance(decision, dict):
        return False
    inputs = decision.get("inputs", {})
    return inputs.get("champion_version") is not None and not inputs.get("champion_scored", True)
