"""The schedulers of `scheduler_chaos`, the killer, and their clock."""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.chaos_hosts import SeparateHosts
from shared.clock import isoformat
from shared.intervals import Interval, next_due
from shared.tables.job_schedules import read_schedules
from shared.tables.runs import Run, RunStatus, list_runs
from tests.scheduler.accepting_api import AcceptingApi
from tests.scheduler.processes import SchedulerProcess, start

NAMES = ("a", "b")
INTERVAL = "12H"
SPEED = 4_320
LEASE_SECONDS = 3
# bursts of kills, in which no run makes progress, and pauses, in which runs end and promote
BURST_SECONDS, LULL_SHARE = (0.0, 1.5), 0.25
# a pause lasts 0.5 to 2 times the first run, measured from the start of its scheduler
LULL_RUNS, LONGEST_RUN_SECONDS = (0.5, 2.0), 12.0
LONGEST_ABSENCE_SECONDS = 2.0
PATIENCE_SECONDS = 90
# a machine that does much else takes its time to start them
START_SECONDS = 600
OPEN = frozenset({RunStatus.REQUESTED, RunStatus.RUNNING})
SETTINGS = {
    "POLICY": "eager",
    "LEASE_SECONDS": str(LEASE_SECONDS),
    # kills count as attempts, and here there are far more of them than in production
    "RUN_ATTEMPTS": "200",
    "CLOCK_SPEED": str(SPEED),
    "RUN_PROCESS_READY": "true",
}


@dataclass
class Takeovers:
    """Seconds from the kill of a run's holder until another scheduler holds or has ended it.

    Time in which no scheduler was up does not count: none could have taken over.
    """

    seconds: list[float] = field(default_factory=list)
    _waiting: dict[int, int | None] = field(default_factory=dict)
    _waited: dict[int, float] = field(default_factory=dict)
    _looked: float = field(default_factory=time.monotonic)

    def killed(self, run: Run) -> None:
        self._waiting.setdefault(run.run_id, run.fencing_number)

    def look(self, runs: list[Run], *, is_somebody_up: bool) -> None:
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        for run in runs:
            if run.run_id not in self._waiting:
                continue
            waited = self._waited.setdefault(run.run_id, 0.0)
            self._waited[run.run_id] = waited + (passed if is_somebody_up else 0.0)
            if run.fencing_number != self._waiting[run.run_id] or run.status not in OPEN:
                self.seconds.append(self._waited.pop(run.run_id))
                del self._waiting[run.run_id]


class Chaos:
    """One database, two schedulers, one API, and a process killer."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        api: AcceptingApi,
        rng: random.Random,
        hosts: SeparateHosts | None = None,
    ) -> None:
        self.folder, self.engine, self.api, self.rng = folder, engine, api, rng
        self.hosts = hosts
        self.began_us = self.ended_us = time.time_ns() // 1_000
        self.takeovers = Takeovers()
        self.kills = 0
        self._alive: dict[str, SchedulerProcess] = {}
        self._back_at: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def now_us(self) -> int:
        """The present by the schedulers' clock."""
        return self.began_us + (time.time_ns() // 1_000 - self.began_us) * SPEED

    def run(self, kills: int) -> None:
        configure(self.engine, self.began_us)
        began = time.monotonic()
        for name in NAMES:
            self._start(name)
        # wait for the first check of the schedule: no instant is due before it
        first = self._alive["a"]
        first.wait_for(lambda: bool(read_schedules(self.engine)), START_SECONDS)
        first.wait_for(lambda: bool(self.api.accepted), START_SECONDS)
        next_kill = time.monotonic()
        self.run_seconds = min(next_kill - began, LONGEST_RUN_SECONDS)
        say(f"  a run takes {next_kill - began:.1f} s")
        while self.kills < kills:
            self._bring_back()
            self._look()
            if self.hosts:
                self.hosts.look(self.rng)
            if time.monotonic() >= next_kill and self._alive:
                self._kill(self.rng.choice(sorted(self._alive)))
                next_kill = time.monotonic() + self._pause_seconds()
            time.sleep(0.05)
        self._let_it_end()

    def stop(self) -> None:
        for scheduler in self._alive.values():
            scheduler.kill()

    def _look(self) -> list[Run]:
        runs = list_runs(self.engine, 100)
        self.takeovers.look(runs, is_somebody_up=any(map(self._is_up, self._alive)))
        return runs

    def _is_up(self, name: str) -> bool:
        """True if it has beaten since it was started."""
        try:
            return (self.folder / f"{name}.beat").stat().st_mtime > self._started[name]
        except FileNotFoundError:
            return False

    def _pause_seconds(self) -> float:
        is_lull = self.rng.random() < LULL_SHARE
        if not is_lull:
            return self.rng.uniform(*BURST_SECONDS)
        return self.run_seconds * self.rng.uniform(*LULL_RUNS)

    def _start(self, name: str) -> None:
        self._started[name] = time.time()
        self._alive[name] = start(
            self.folder,
            self.engine,
            self.api,
            name,
            **{
                **SETTINGS,
                "CLOCK_BASE_US": str(self.began_us),
                **(self.hosts.settings(name) if self.hosts else {}),
            },
        )

    def _kill(self, name: str) -> None:
        scheduler = self._alive.pop(name)
        mine = f":{scheduler.process.pid}"
        scheduler.kill()
        for run in list_runs(self.engine, 20):
            if run.status is RunStatus.RUNNING and str(run.lease_owner).endswith(mine):
                self.takeovers.killed(run)
        self.kills += 1
        self._back_at[name] = time.monotonic() + self.rng.uniform(0, LONGEST_ABSENCE_SECONDS)
        if self.kills % 20 == 0:
            say(f"  {self.kills} kills, {len(self.api.accepted)} promotions")

    def _bring_back(self) -> None:
        due = [name for name, at in self._back_at.items() if time.monotonic() >= at]
        for name in due:
            del self._back_at[name]
            self._start(name)

    def _let_it_end(self) -> None:
        """Stops killing: everything due until now has to end by itself."""
        if self.hosts:
            self.hosts.mend()
        self._back_at = dict.fromkeys(self._back_at, 0.0)
        self._bring_back()
        self.ended_us = self.now_us()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            runs = self._look()
            last = due_instants(self.began_us, self.began_us, self.ended_us)[-1]
            is_answered = last in {run.scheduled_for for run in runs}
            if is_answered and not any(is_open(run, last) for run in runs):
                return
            time.sleep(0.1)


def configure(engine: Engine, anchor_us: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE RetrainingConfig SET Interval = :interval, CreatedAt = :anchor"),
            {"interval": INTERVAL, "anchor": isoformat(anchor_us)},
        )


def due_instants(anchor_us: int, after_us: int, until_us: int) -> list[str]:
    interval, found, due_us = Interval.parse(INTERVAL), list[str](), max(after_us, anchor_us)
    while (due_us := next_due(interval, anchor_us, due_us)) <= until_us:
        found.append(isoformat(due_us))
    return found


def is_open(run: Run, until: str) -> bool:
    return run.status in OPEN and run.scheduled_for <= until


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
