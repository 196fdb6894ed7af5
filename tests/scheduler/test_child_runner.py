"""A run in a child process: limited, cancelled, killed, and always with an end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.child_runner import ChildLimits, ChildRunner, resident_bytes
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import Retries, RunRecorder
from shared.tables.leases import announce_push, request_cancel
from shared.tables.runs import Run, RunStatus, claim_next, finish, get_run, request_run
from shared.tracing.spans import parse_traceparent

pytestmark = pytest.mark.slow

LIMITS = ChildLimits(time_seconds=60, memory_bytes=2**31, stop_seconds=0.5)
SLEEPS = "import time; time.sleep(60)"
IGNORES = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
GROWS = "import time\nkept = [bytearray(64 * 2**20)]\ntime.sleep(60)"
DIES = "import os; os.kill(os.getpid(), 9)"
TELLS = (
    "import os, sys, pathlib; told = sys.stdin.readline();"
    "pathlib.Path({path!r}).open('a').write(f'{{told.strip()}} {{sys.argv[1]}} {{os.getpid()}}\\n')"
)


@dataclass
class Bench:
    """One claimed run, and a runner whose child is a line of Python."""

    engine: Engine
    log: FilteringBoundLogger
    interruption: Interruption
    run: Run

    def execute(self, code: str, limits: ChildLimits = LIMITS, attempts: int = 1) -> Run:
        self.runner(code, limits, attempts).execute(self.run)
        return self.row()

    def runner(
        self,
        code: str,
        limits: ChildLimits = LIMITS,
        attempts: int = 1,
        *,
        keeps_ready: bool = False,
    ) -> ChildRunner:
        return ChildRunner(
            command=(sys.executable, "-c", code),
            engine=self.engine,
            recorder=RunRecorder(self.engine, self.log, Retries(attempts, 60).pause_seconds),
            interruption=self.interruption,
            limits=limits,
            lease_seconds=1,
            log=self.log,
            keeps_ready=keeps_ready,
        )

    def row(self) -> Run:
        run = get_run(self.engine, self.run.run_id)
        assert run is not None
        return run

    @property
    def number(self) -> int:
        assert self.run.fencing_number is not None
        return self.run.fencing_number


@pytest.fixture
def bench(engine: Engine, log: FilteringBoundLogger) -> Bench:
    request_run(engine, "retraining", 1, "test")
    run = claim_next(engine, "me", 60)
    assert run is not None
    return Bench(engine, log, Interruption(), run)


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Does something half a second after the child was started."""
    threads: list[threading.Timer] = []

    def do(what: Callable[[], object]) -> None:
        threads.append(threading.Timer(0.5, what))
        threads[-1].start()

    yield do
    for thread in threads:
        thread.join()


Meanwhile = Callable[[Callable[[], object]], None]
WaitForChildren = Callable[[int], list[str]]


def test_a_child_that_hangs_is_ended_at_its_time_limit(
    bench: Bench, wait_for_children: WaitForChildren
) -> None:
    run = bench.execute(IGNORES, replace(LIMITS, time_seconds=0.5))

    assert (run.status, run.code) == (RunStatus.FAILED, "timed_out")
    assert wait_for_children(0) == []


def test_a_child_that_grows_is_ended_at_its_memory_limit(bench: Bench) -> None:
    run = bench.execute(GROWS, replace(LIMITS, memory_bytes=50 * 2**20))

    assert (run.status, run.code) == (RunStatus.FAILED, "memory_exceeded")
    assert run.message == "used more than 50 MiB"


def test_a_run_in_progress_can_be_cancelled(bench: Bench, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: request_cancel(bench.engine, bench.run.run_id, "somebody"))
    run = bench.execute(SLEEPS)

    assert (run.status, run.code, run.message) == (
        RunStatus.SKIPPED,
        "cancelled",
        "cancelled by somebody",
    )


def test_it_is_too_late_to_cancel_what_is_being_pushed(bench: Bench) -> None:
    announce_push(bench.engine, bench.run.run_id, bench.number, 60, candidatesha256="00")
    request_cancel(bench.engine, bench.run.run_id, "somebody")
    bench.execute("import time; time.sleep(1)")

    assert bench.row().status is RunStatus.RUNNING


def test_a_scheduler_that_is_stopped_gives_the_run_back(bench: Bench, meanwhile: Meanwhile) -> None:
    meanwhile(bench.interruption.request)
    run = bench.execute(SLEEPS)

    assert (run.status, run.code, run.attempts) == (RunStatus.REQUESTED, "interrupted", 0)
    assert claim_next(bench.engine) is not None


def test_a_lease_that_was_lost_ends_the_child_and_leaves_the_run_to_its_new_owner(
    bench: Bench, meanwhile: Meanwhile
) -> None:
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ModelTrainingRuns SET LeaseUntil = 0")
    taken = claim_next(bench.engine, "other", 60)
    assert taken is not None
    run = bench.execute(SLEEPS)

    assert (run.status, run.lease_owner) == (RunStatus.RUNNING, "other")
    assert run.fencing_number == taken.fencing_number


def test_a_lease_is_extended_for_as_long_as_the_child_works(bench: Bench) -> None:
    before = bench.row().lease_until_us
    run = bench.execute("import time; time.sleep(1)")

    assert run.lease_until_us != before


def test_a_child_that_dies_is_tried_again_and_then_given_up(bench: Bench) -> None:
    run = bench.execute(DIES, attempts=2)
    assert (run.status, run.code) == (RunStatus.REQUESTED, "child_died")

    with bench.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ModelTrainingRuns SET NotBefore = 0")
    again = claim_next(bench.engine, "me", 60)
    assert again is not None
    bench.run = again
    run = bench.execute(DIES, attempts=2)
    assert (run.status, run.code) == (RunStatus.FAILED, "child_died")
    assert "status -9" in str(run.message)


def test_a_child_that_died_while_it_pushed_is_asked_about_later(bench: Bench) -> None:
    announce_push(bench.engine, bench.run.run_id, bench.number, 60, candidatesha256="00")
    run = bench.execute(SLEEPS, replace(LIMITS, time_seconds=0.5))

    assert (run.status, run.code) == (RunStatus.REQUESTED, "timed_out")


def test_a_child_that_recorded_its_end_may_take_its_time_to_leave(bench: Bench) -> None:
    finish(
        bench.engine,
        bench.run.run_id,
        RunStatus.SUCCEEDED,
        "promoted",
        "",
        fencing_number=bench.number,
    )
    run = bench.execute("import time; time.sleep(1)")

    assert (run.status, run.code) == (RunStatus.SUCCEEDED, "promoted")


def test_a_child_is_told_its_run_its_number_and_its_parent(bench: Bench, tmp_path: Path) -> None:
    told = tmp_path / "told"
    bench.execute(TELLS.format(path=str(told)))

    run_id, number, traceparent, parent = told.read_text().split()[:4]
    numbers = [bench.run.run_id, bench.number, os.getpid()]
    assert [int(text) for text in (run_id, number, parent)] == numbers
    assert parse_traceparent(traceparent) is not None


def test_the_next_child_is_ready_before_it_is_needed_and_does_only_one_run(
    bench: Bench, tmp_path: Path, wait_for_children: WaitForChildren
) -> None:
    told = tmp_path / "told"
    runner = bench.runner(TELLS.format(path=str(told)), keeps_ready=True)
    runner.prepare()
    [ready] = wait_for_children(1)
    runner.execute(bench.run)
    runner.execute(bench.run)

    done = [line.split()[4] for line in told.read_text().splitlines()]
    assert (done[0], len(set(done))) == (ready, 2)
    assert len(wait_for_children(1)) == 1
    runner.close()
    assert wait_for_children(0) == []


def test_a_child_that_died_while_it_waited_is_replaced(
    bench: Bench, tmp_path: Path, wait_for_children: WaitForChildren
) -> None:
    told = tmp_path / "told"
    runner = bench.runner(TELLS.format(path=str(told)), keeps_ready=True)
    runner.prepare()
    [ready] = wait_for_children(1)
    os.kill(int(ready), signal.SIGKILL)
    wait_for_children(0)
    runner.execute(bench.run)
    runner.close()

    assert len(told.read_text().splitlines()) == 1


def test_memory_counts_descendants_and_nothing_that_is_gone() -> None:
    assert resident_bytes(os.getpid()) > 10 * 2**20
    assert resident_bytes(2**22 + 1) == 0


@pytest.fixture
def wait_for_children() -> WaitForChildren:
    """Children of this test that have not ended, once there are so many.

    A database server that another test of this process started is none of them.
    """
    others = set(living())

    def wait(count: int) -> list[str]:
        deadline = time.monotonic() + 5
        found: list[str] = []
        while True:
            found = [child for child in living() if child not in others]
            if len(found) == count or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    return wait


def living() -> list[str]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [child for task in tasks for child in task.read_text().split()]
    return [child for child in found if state(child) not in {"Z", "gone"}]


def state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"
