"""The acts of the demo, in order. Whatever is told has happened: real services, gates and data."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import text

from scheduler.schedule.jobs import DRIFT
from shared.clock import SystemClock, isoformat
from shared.tables.runs import UNFINISHED, Run, RunStatus, list_runs, request_run
from simulator.live import LiveRow
from understudy.demo.services import DemoFailed, DemoServices
from understudy.demo.world import AMOUNT_FACTOR, DRIFT_DAYS_AGO, LIVE_DAYS, PAST_DAYS, DemoWorld
from understudy.rehearsal import models
from understudy.rehearsal.service import has_served_well

Say = Callable[[str], None]
RUN_SECONDS = 900.0
ROLLOUT_SECONDS = 300.0
CHECKED_DAYS_AGO, PROMOTED_DAYS_AGO = 7.0, 1.5
PERSON = "the demo"
# One matrix product takes 4 to 15 ms, depending on the machine; the budget of a row is 25 ms.
# Five products exceed it on every machine.
_SLOW_PRODUCTS = 5


@dataclass(slots=True)
class Demo:
    """Everything that the acts share.

    Attributes:
        seconds_per_day: how long a simulated day lasts at least; 0: as fast as the API answers.
        owed: rows whose labels are not known yet by the simulated clock.
    """

    services: DemoServices
    world: DemoWorld
    say: Say
    seconds_per_day: float
    owed: list[LiveRow] = field(default_factory=list)

    def act(self, title: str) -> None:
        self.say("")
        self.say(f"== {title}")

    def try_it(self, command: str) -> None:
        self.say(f"   see it: understudy {command}")

    def play(self, until_days_ago: float) -> None:
        """Let the customers' days go by; each line is some days."""
        scored = flagged = days = 0
        for rows in self.world.days(until_days_ago):
            began = time.monotonic()
            self._deliver_labels(rows)
            one, other = self.services.score(rows)
            scored, flagged, days = scored + one, flagged + other, days + 1
            self.owed += rows
            time.sleep(max(0.0, self.seconds_per_day - (time.monotonic() - began)))
            if days % 7 == 0:
                self._tell_days(days, scored, flagged)
                scored = flagged = days = 0
        if days:
            self._tell_days(days, scored, flagged)

    def _deliver_labels(self, rows: Sequence[LiveRow]) -> None:
        """Delivers the labels that became known before the first row of a day."""
        if not rows:
            return
        begin_us = rows[0].time_us - 1
        known = [row for row in self.owed if row.label_known_at_us <= begin_us]
        self.owed = [row for row in self.owed if row.label_known_at_us > begin_us]
        self.services.label(known, begin_us)

    def _tell_days(self, days: int, scored: int, flagged: int) -> None:
        clock = isoformat(self.world.clock_us)[:10]
        share = flagged / scored if scored else 0.0
        self.say(f"   {clock}: {scored:,} rows of {days} days scored, {share:.1%} flagged")

    def newest(self, job: str) -> Run | None:
        return next((run for run in list_runs(self.services.engine, 50) if run.job == job), None)

    def finished(self, run_id: int) -> Run:
        """The run when it is over; tells its steps on the way."""
        told: list[str] = []

        def over() -> Run | None:
            run = self.services.run(run_id)
            for step in run.steps or ():
                name, result = step.get("step"), step.get("result")
                if name in _TOLD_STEPS and name not in told and result != "running":
                    told.append(name)
                    self.say(f"   {name}: {_step_text(step)}")
            return None if run.status in UNFINISHED else run

        return self.services.wait_for(over, RUN_SECONDS, f"run {run_id} did not end")


_TOLD_STEPS = frozenset(
    {"snapshot", "data_quality", "train", "latency", "api_health", "metrics", "push", "compare"}
)


def _step_text(step: dict[str, object]) -> str:
    seconds = f"{step.get('duration_seconds', 0)} s"
    rows = f", {step['rows']:,} rows" if isinstance(step.get("rows"), int) else ""
    reason = f": {str(step['reason'])[:150]}" if step.get("reason") else ""
    return f"{step.get('result')} ({seconds}{rows}){reason}"


def play(folder: Path, say: Say, *, seconds_per_day: float) -> None:
    """The whole demo.

    Raises:
        DemoFailed: something did not happen as it should.
    """
    world = DemoWorld(SystemClock().now_us())
    with DemoServices(folder) as services:
        demo = Demo(services, world, say, seconds_per_day)
        for one in ACTS:
            one(demo)
        _end(demo)


def first_model(demo: Demo) -> None:
    services, world = demo.services, demo.world
    demo.act("1. A first model")
    rows = world.seed(services.engine)
    demo.say(f"A shop has {rows:,} payments of {PAST_DAYS} days, 2 % of them fraud. The simulated")
    demo.say(f"clock stands {LIVE_DAYS} days ago. API and scheduler start; a model is trained.")
    for line in _variables(services):
        demo.say(f"   {line}")
    services.start("api")
    services.start("scheduler", TRAIN_AS_OF=isoformat(world.clock_us))
    services.wait_for(lambda: services.is_alive() or None, RUN_SECONDS, "the API did not start")
    demo.try_it("runs")
    run = services.wait_for(lambda: demo.newest("retraining"), RUN_SECONDS, "no run was requested")
    run = demo.finished(run.run_id)
    _require(run, RunStatus.SUCCEEDED, "first_model")
    demo.say(f"Version {run.model_version} serves: {run.message}.")
    # restarted without TRAIN_AS_OF: from here on it trains on all known labels
    services.stop("scheduler")
    services.start("scheduler")


def traffic(demo: Demo) -> None:
    demo.act("2. Traffic at the customers' own pace")
    demo.say("Every row is validated, scored with its history and written down before the answer")
    demo.say("leaves; labels follow days later, after a complaint or a delay without one.")
    demo.play(DRIFT_DAYS_AGO)
    demo.try_it("status")


def drift(demo: Demo) -> None:
    demo.act("3. The world changes")
    demo.say(
        f"Prices rise: amounts are {AMOUNT_FACTOR:g} times as high from now on. Thieves change"
    )
    demo.say("their ways: they test cards and take accounts over, which the model has never seen.")
    demo.play(CHECKED_DAYS_AGO)
    demo.say("The scheduler's drift check (daily in production) compares the rows that were")
    demo.say("served with those the champion was trained on:")
    now_us = SystemClock().now_us()
    run = demo.finished(request_run(demo.services.engine, DRIFT, now_us, "demo"))
    _require(run, RunStatus.SUCCEEDED, "drift")
    demo.say(f"ALARM. {run.message}")
    demo.try_it("drift")


def retraining(demo: Demo) -> None:
    demo.act("4. The alarm asks for a retraining, the gates judge it")
    check = demo.newest(DRIFT)
    asked = (check.metrics or {}).get("retraining_run") if check is not None else None
    if asked is None:
        raise DemoFailed("the alarm did not ask for a retraining")
    demo.say(f"Run {asked}, requested by the drift check. An alarm promotes nothing.")
    run = demo.finished(int(asked))
    _require(run, RunStatus.ON_TRIAL, "on_trial")
    demo.say(f"{run.model_version} passed every gate: {_metrics_reason(run)}")
    demo.try_it(f"runs show {run.run_id}")


def rollout(demo: Demo) -> None:
    demo.act("5. A canary, then promotion")
    run = demo.newest("retraining")
    if run is None:
        raise DemoFailed("there is no run")
    demo.say("It is not promoted yet: 5 % of users get its answers, then 10, 25, 50 %, as long as")
    demo.say("no test says that it does harm (stages last 3 s here, half an hour in production).")
    demo.try_it("rollout")
    days = _portions(demo, PROMOTED_DAYS_AGO)
    told = ""

    def settled() -> Run | None:
        nonlocal told
        rows = next(days, None)
        if rows:
            demo.services.score(rows)
        now = demo.services.run(run.run_id)
        if str(now.message) != told:
            told = str(now.message)
            demo.say(f"   {now.status}: {told}")
        return None if now.status is RunStatus.ON_TRIAL else now

    ended = demo.services.wait_for(settled, ROLLOUT_SECONDS, "the rollout did not end")
    _require(ended, RunStatus.SUCCEEDED, "promoted")
    demo.say(f"{ended.model_version} serves all users; {ended.champion_version} is its fallback.")
    demo.try_it("versions")


def bad_candidate(demo: Demo) -> None:
    demo.act("6. Spoiled labels: a bad candidate is refused")
    changed = _spoil_labels(demo)
    demo.say(
        f"A faulty job has exchanged labels of {changed:,} old rows. A person does not know that,"
    )
    demo.say("and forces a retraining although the champion is fresh (name and reason are kept):")
    run_id = demo.services.force_retraining(PERSON, "the demo wants to see a refusal")
    run = demo.finished(run_id)
    if run.status is not RunStatus.REFUSED:
        raise DemoFailed(f"run {run_id} ended as {run.status}, {run.code}: {run.message}")
    demo.say(f"REFUSED ({run.code}): {run.message}")
    demo.say(f"{demo.services.serving()} serves on.")
    demo.try_it(f"runs show {run_id}")


def slow_model(demo: Demo) -> None:
    demo.act("7. A slow model is rolled back")
    good = demo.services.serving()
    current = demo.services.current()
    if good is None or current is None or current.newest_accepted is None:
        raise DemoFailed("no version serves")
    bad = _next_version(current.newest_accepted)
    rows = _portions(demo, 0.0, size=1)
    # a rollback returns to the last version that served well, not to one that has just begun
    proven = "the good version did not serve well"
    demo.services.wait_for(lambda: _served_well(demo, rows), ROLLOUT_SECONDS, proven)
    demo.services.push(models.slow(bad, _SLOW_PRODUCTS))
    demo.say(f"A person with the keys pushes {bad} past the scheduler: signed, it passes the smoke")
    demo.say("test, and multiplies matrices for every row. Users go on paying:")
    began = time.monotonic()

    def rolled_back() -> bool | None:
        _score_next(demo, rows)
        return True if demo.services.serving() == good else None

    demo.services.wait_for(rolled_back, ROLLOUT_SECONDS, f"{bad} was not rolled back")
    demo.say(f"ROLLED BACK after {time.monotonic() - began:.1f} s by the circuit breaker: {good}")
    demo.say("serves again. Rows that took longer than SCORING_BUDGET_SECONDS counted as failures.")
    demo.try_it("audit")


def _served_well(demo: Demo, rows: "_Portions") -> bool | None:
    for _ in range(10):
        _score_next(demo, rows)
    return has_served_well(demo.services.folder) or None


def _score_next(demo: Demo, rows: "_Portions") -> None:
    portion = next(rows, None)
    if portion:
        demo.services.score_one(portion[0])


ACTS = (first_model, traffic, drift, retraining, rollout, bad_candidate, slow_model)


def _end(demo: Demo) -> None:
    demo.act("What was")
    for run in reversed(list_runs(demo.services.engine, 50)):
        version = run.model_version or "-"
        demo.say(f"   run {run.run_id} {run.job}: {run.status}, {run.code} ({version})")
    current = demo.services.current()
    if current is not None:
        demo.say(f"   {current.version} serves, {current.fallback} is its fallback")


def _portions(demo: Demo, until_days_ago: float, size: int = 15) -> "_Portions":
    return _Portions([row for rows in demo.world.days(until_days_ago) for row in rows], size)


class _Portions:
    """Rows a few at a time, an iterator."""

    def __init__(self, rows: Sequence[LiveRow], size: int) -> None:
        self._rows, self._size, self._at = rows, size, 0

    def __next__(self) -> Sequence[LiveRow]:
        found = self._rows[self._at : self._at + self._size]
        self._at += self._size
        if not found:
            raise StopIteration
        return found

    def __iter__(self) -> "_Portions":
        return self


def _variables(services: DemoServices) -> list[str]:
    return [
        "to look for yourself, in another terminal:",
        f"  export {' '.join(f'{name}={value}' for name, value in services.variables.items())}",
    ]


def _require(run: Run, status: RunStatus, code: str) -> None:
    if (run.status, run.code) != (status, code):
        raise DemoFailed(
            f"run {run.run_id} ended as {run.status}, {run.code}, where {status}, {code} was to be "
            f"shown: {run.message}"
        )


def _metrics_reason(run: Run) -> str:
    found = (verdict for verdict in run.verdicts or () if verdict["gate"] == "metrics")
    return str(next(found, {"reason": ""})["reason"])


def _spoil_labels(demo: Demo) -> int:
    """Exchange labels among old rows: as many frauds as before, and nothing of it is true."""
    rng = np.random.default_rng(3)
    until_us = demo.world.at(30)
    changed = 0
    with demo.services.engine.begin() as connection:
        for table in ("transactionhistorylogs", "apitransactionlogs"):
            found = connection.execute(
                text(
                    f"SELECT transaction_id, label FROM {table} "  # noqa: S608 - our own names
                    "WHERE label IS NOT NULL AND event_time < :until"
                ),
                {"until": until_us},
            ).all()
            labels = rng.permutation([row.label for row in found]).tolist()
            wrong = [
                {"id": row.transaction_id, "label": label}
                for row, label in zip(found, labels, strict=True)
                if row.label != label
            ]
            changed += len(wrong)
            if wrong:
                connection.execute(
                    text(f"UPDATE {table} SET label = :label WHERE transaction_id = :id"),  # noqa: S608
                    wrong,
                )
    return changed


def _next_version(version: str) -> str:
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"
