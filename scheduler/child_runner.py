"""Carries out a run in a child process, ends that process when it has to end; the run's trace."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, cast

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import INTERRUPTED, RunRecorder
from scheduler.cycle.report import RunReport
from scheduler.schedule.outage_log import OutageLog
from shared.errors import DataUnavailable
from shared.system.child_processes import ChildProcess, kill_child, start_child, stop_child
from shared.tables.leases import CANCELLED, renew
from shared.tables.runs import Run, RunStatus, get_run
from shared.tracing.pipe import InheritedPipe, SpanSink
from shared.tracing.spans import (
    Attribute,
    EpochInstants,
    Span,
    TraceContext,
    in_context,
    new_context,
)


def keep_root(spans: SpanSink, trace: TraceContext, began: float, run: Run) -> None:
    """Hand over the span; `run` is as it was recorded, `began` by `time.perf_counter`."""
    ns, has_failed = EpochInstants().ns, run.status is RunStatus.FAILED
    known = {
        "run.id": run.run_id,
        "run.attempt": run.fencing_number,
        "run.requested_by": run.requested_by,
        "run.status": run.status.value,
        "run.code": run.code,
        "model.version": run.model_version,
        "model.champion": run.champion_version,
    }
    attributes: dict[str, Attribute] = {
        name: value for name, value in known.items() if value is not None
    }
    root = Span(
        f"run {run.job}",
        trace,
        ns(began),
        ns(time.perf_counter()),
        attributes=attributes,
        error=(run.message or run.code or "failed") if has_failed else None,
    )
    spans.keep([root])


# Extends the lease of a run in progress, and reads with it whether the run should end.

# interval of extensions: three attempts before the lease expires
SHARE_OF_LEASE = 1 / 3
JOIN_SECONDS = 1.0


class LeaseKeeper:
    """Extends the lease in a separate thread: a slow database must not stop the watch.

    While the database is unavailable no other scheduler can take over the run either; the lease is
    checked when it is back. Nothing is pushed meanwhile: a push is announced there first.
    """

    def __init__(
        self,
        engine: Engine,
        run_id: int,
        fencing_number: int,
        seconds: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine = engine
        self._run_id = run_id
        self._fencing_number = fencing_number
        self._seconds = seconds
        self._log = log
        self._database = OutageLog("lease", log)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self.is_over = False
        self.is_lost = False
        self.cancelled_by: str | None = None

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(JOIN_SECONDS)

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds * SHARE_OF_LEASE):
            if self.is_over or self.is_lost:
                return
            try:
                self._extend()
            except DataUnavailable as error:
                self._database.away(error)

    def _extend(self) -> None:
        holding = renew(self._engine, self._run_id, self._fencing_number, self._seconds)
        self._database.back()
        if self._ended.is_set():
            return
        if holding is None:
            # either the child has recorded the end, or another scheduler holds the run
            run = get_run(self._engine, self._run_id)
            self.is_over = run is not None and run.fencing_number == self._fencing_number
            self.is_lost = not self.is_over
            return
        if holding.cancel_requested_by and not holding.is_pushing:
            self.cancelled_by = holding.cancel_requested_by


# The resident memory of a process and its descendants (Linux).
#
# The address space says little here: a cycle that has 0.5 GiB resident has 1.5 GiB mapped
# before it begins, since OpenMP, numba and torch reserve far more than they touch. So no
# RLIMIT_AS; the resident size is watched instead.

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """0 where there is no /proc, or no such process any more."""
    return sum(_resident(one) for one in (pid, *descendants(pid)))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def descendants(pid: int) -> list[int]:
    """All descendants of a process; those that have ended are omitted."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in direct:
            found += [child, *descendants(child)]
    return found


LOOK_SECONDS = 0.2
MIB = 2**20


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Resource limits of a child process; `stop_seconds` is its time to end after a request."""

    time_seconds: float
    memory_bytes: int
    stop_seconds: float


class ChildEnding(StrEnum):
    """The reason a supervised child ended."""

    LEFT = "left"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    MEMORY = "memory_exceeded"
    LEASE_LOST = "lease_lost"


class ChildRunner:
    """A `JobRunner`: starts `command OWN_PID`, writes the run to its stdin, and watches it.

    With `keeps_ready` the next child is started before it is needed: importing the training
    libraries takes seconds. A child carries out one run and ends.

    The child records how its run ended. The parent records it only for children that could not, and
    only if the run is still in progress under this lease.
    """

    def __init__(
        self,
        *,
        command: Sequence[str],
        engine: Engine,
        recorder: RunRecorder,
        interruption: Interruption,
        limits: ChildLimits,
        lease_seconds: float,
        log: FilteringBoundLogger,
        keeps_ready: bool = False,
        spans: InheritedPipe | None = None,
    ) -> None:
        self._spans = spans
        self._keeps_ready = keeps_ready
        self._ready: ChildProcess | None = None
        self._command = tuple(command)
        self._engine = engine
        self._recorder = recorder
        self._interruption = interruption
        self._limits = limits
        self._lease_seconds = lease_seconds
        self._log = log

    def execute(self, run: Run) -> RunReport:
        """Carry out the run; its trace has its root here, so that a killed run has one as well."""
        trace, began = new_context(is_sampled=self._spans is not None), time.perf_counter()
        with in_context(trace):
            report = self._carry_out(run, trace)
        if self._spans is not None:
            keep_root(self._spans, trace, began, self._outcome(run))
        self.prepare()
        return report

    def _outcome(self, run: Run) -> Run:
        """The run as it was recorded; as it was claimed while the database is away."""
        with suppress(DataUnavailable):
            return get_run(self._engine, run.run_id) or run
        return run

    def _carry_out(self, run: Run, trace: TraceContext) -> RunReport:
        number = run.fencing_number or 0
        keeper = LeaseKeeper(self._engine, run.run_id, number, self._lease_seconds, self._log)
        with keeper as lease:
            child = self._start(run.run_id, number, trace)
            ending = self._watch(child, lease)
            if ending is not ChildEnding.LEFT:
                self._log.warning("child_ended", run_id=run.run_id, reason=ending.value)
                stop_child(child, self._limits.stop_seconds)
        return self._conclude(run, ending, child.returncode, keeper)

    def prepare(self) -> None:
        """Start the next child, unless one is ready or we are about to stop."""
        if self._ready is not None and self._ready.poll() is not None:
            self.close()
        if self._keeps_ready and self._ready is None and not self._interruption.requested:
            self._ready = self._spawn()

    def close(self) -> None:
        """End the child that waits; it has not begun with anything."""
        child, self._ready = self._ready, None
        if child is not None:
            kill_child(child)
            child.communicate()

    def _start(self, run_id: int, fencing_number: int, trace: TraceContext) -> ChildProcess:
        self.prepare()
        child, self._ready = self._ready or self._spawn(), None
        # BrokenPipeError: the child died meanwhile, which the watch detects
        with suppress(BrokenPipeError), cast(IO[bytes], child.stdin) as pipe:
            pipe.write(f"{run_id} {fencing_number} {trace.traceparent}\n".encode())
        return child

    def _spawn(self) -> ChildProcess:
        command = [*self._command, str(os.getpid())]
        if self._spans is None or self._spans.descriptor < 0:
            return start_child(command, stdin=subprocess.PIPE)
        descriptor = self._spans.descriptor
        return start_child(
            [*command, str(descriptor)], stdin=subprocess.PIPE, descriptors=[descriptor]
        )

    def _watch(self, child: ChildProcess, lease: LeaseKeeper) -> ChildEnding:
        deadline = time.monotonic() + self._limits.time_seconds
        while child.poll() is None:
            if self._interruption.requested:
                return ChildEnding.STOPPED
            if lease.is_lost:
                return ChildEnding.LEASE_LOST
            if lease.cancelled_by:
                return ChildEnding.CANCELLED
            if time.monotonic() > deadline:
                return ChildEnding.TIMED_OUT
            if resident_bytes(child.pid) > self._limits.memory_bytes:
                return ChildEnding.MEMORY
            self._interruption.wait(LOOK_SECONDS)
        return ChildEnding.LEFT

    def _conclude(
        self, run: Run, ending: ChildEnding, status: int, lease: LeaseKeeper
    ) -> RunReport:
        report = RunReport()
        match ending:
            case ChildEnding.LEFT if status == 0:
                return report
            case ChildEnding.LEASE_LOST:
                self._log.error("lease_lost", run_id=run.run_id)
                return report
            case ChildEnding.STOPPED:
                self._recorder.give_back(run, INTERRUPTED, "the scheduler was stopped")
                return report
            case ChildEnding.LEFT:
                reason = f"its process ended with status {status} before the run was over"
                report.end(RunStatus.FAILED, "child_died", reason)
                self._recorder.record(run, report)
                return report
            case ChildEnding.CANCELLED:
                report.end(RunStatus.SKIPPED, CANCELLED, f"cancelled by {lease.cancelled_by}")
            case ChildEnding.TIMED_OUT:
                reason = f"not finished after {self._limits.time_seconds:g} s"
                report.end(RunStatus.FAILED, ending.value, reason)
            case ChildEnding.MEMORY:
                reason = f"used more than {self._limits.memory_bytes / MIB:,.0f} MiB"
                report.end(RunStatus.FAILED, ending.value, reason)
        self._recorder.record_cut_off(run, report)
        return report
