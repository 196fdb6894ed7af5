"""A shadow: the candidate scores a copy of live rows in another process; no answer waits for it.

A row costs serving one write into a pipe that never blocks. When the pipe is full the row is
dropped and counted. When the process dies or hangs it is started again, a few times. The pipe is of
a fixed size and outlives the process: what is in it waits for the next one.
"""

import fcntl
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from api.journal.entries import Decided
from api.models.model_slot import ModelScores, Pace
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import Counters
from api.rollout.canary import Judge, Splitter
from api.rollout.shadow_child import ChildConfig, ShadowRecordFormat
from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    bare_environment,
    how_it_ended,
    kill_child,
    module_command,
    start_child,
)
from shared.usecase.serving import FloatMatrix

_END_SECONDS = 2.0
# Start-up (imports, the model's session) on a busy machine.
_START_SECONDS = 60.0
_WAITING_FACTOR = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_log = structlog.get_logger()
RESTARTS = 3


class ShadowProcess:
    """A child process that scores copies of rows; at most one at a time reads a queue."""

    def __init__(self, config: ChildConfig, queue_bytes: int, hang_seconds: float) -> None:
        self._rows_read, self._rows_write = os.pipe()
        os.set_blocking(self._rows_write, False)
        with suppress(OSError, AttributeError):
            # Linux only. A kernel that refuses keeps its default size, which is a bound as well.
            fcntl.fcntl(self._rows_write, fcntl.F_SETPIPE_SZ, queue_bytes)
        self._beat_read, self._beat_write = os.pipe()
        os.set_blocking(self._beat_read, False)
        os.set_blocking(self._beat_write, False)
        changes = {"rows_fd": self._rows_read, "beat_fd": self._beat_write}
        self._config = config.model_copy(update=changes)
        self._hang_seconds = hang_seconds
        self._child: ChildProcess | None = None
        self._patient_until = 0.0
        self._cpu_at_beat = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def offer(self, record: bytes) -> bool:
        """Queues a row; False if the queue is full."""
        try:
            os.write(self._rows_write, record)
        except BlockingIOError:
            return False
        return True

    def start(self) -> None:
        # Discard the heartbeats of the previous process.
        self._has_beaten()
        self._child = start_child(
            module_command("api.rollout.shadow_child", self._config.model_dump_json()),
            folder=INSTALLATION,
            environment=bare_environment("/nonexistent"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            descriptors=(self._rows_read, self._beat_write),
        )
        self._patient_until = time.monotonic() + _START_SECONDS

    def trouble(self) -> str | None:
        """The fault of the process, if any; a hanging one is killed."""
        child = self._child
        if child is None:
            return None
        status = child.poll()
        if status is not None:
            self._child = None
            return how_it_ended(status)
        if self._has_beaten():
            self._patient_until = time.monotonic() + self._hang_seconds
            self._cpu_at_beat = _cpu_seconds(child.pid)
        elif self._hangs(child.pid):
            self._kill()
            return f"did not return for {self._hang_seconds:g} s"
        return None

    def _hangs(self, pid: int) -> bool:
        """A process that waits for the processor does not hang, unless it waits for very long."""
        late = time.monotonic() - self._patient_until
        worked = _cpu_seconds(pid) - self._cpu_at_beat
        patience = 0.0 if worked > self._hang_seconds / 2 else _WAITING_FACTOR * self._hang_seconds
        return late > patience

    def close(self) -> None:
        """End it and give everything back; what it counted is on disk if it ends on its own."""
        os.close(self._rows_write)
        if self._child is not None:
            try:
                self._child.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()
        for descriptor in (self._rows_read, self._beat_read, self._beat_write):
            os.close(descriptor)

    def _kill(self) -> None:
        if self._child is not None:
            kill_child(self._child)
            self._child = None

    def _has_beaten(self) -> bool:
        try:
            return bool(os.read(self._beat_read, 65_536))
        except BlockingIOError:
            return False


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Shadow:
    """The candidate beside this process."""

    def __init__(
        self,
        rollout: Rollout,
        record: ShadowRecordFormat,
        process: ShadowProcess,
        judge: Judge,
        counters: Counters,
    ) -> None:
        self.rollout = rollout
        self.champion, self.version = rollout.champion, rollout.version
        self.process = process
        self.counters = counters
        # a separate process: no response waits for it
        self.pace = Pace()
        self._record = record
        self._judge = judge
        self._splitter = Splitter(rollout.salt)
        # Guards the pipe: the number of a closed descriptor can be reused by another file.
        self._lock = threading.Lock()
        self._is_open = True
        self._is_running = False

    def try_candidate(
        self,
        users: Sequence[str],  # noqa: ARG002 - the champion answers all users
        matrix: FloatMatrix,  # noqa: ARG002
    ) -> dict[int, ModelScores]:
        return {}

    def noted(self, decided: Decided, latency_ms: float | None) -> None:  # noqa: ARG002
        prediction = self._judge(decided.scores, decided.served)
        group = self._splitter.place(decided.transaction.user_id).group
        record = self._record.pack(group, prediction, decided.vector)
        with self._lock:
            wanted = self._is_open and self.counters.arms.gave_up is None
            if not (wanted and self.process.offer(record)):
                self.counters.arms.dropped += 1

    def settle(self) -> None:
        """Start the process, or see how it is."""
        arms = self.counters.arms
        if not self._is_running and arms.gave_up is None:
            self.process.start()
            self._is_running = True
        trouble = self.process.trouble()
        if trouble is not None:
            self._is_running = False
            arms.candidate.errors += 1
            if arms.restarts < RESTARTS:
                arms.restarts += 1
            else:
                arms.gave_up = f"the shadow process {trouble}, after {RESTARTS} restarts"
            _log.error("shadow_failed", version=self.rollout.version, reason=trouble)
        self.counters.flush()

    def stop(self) -> None:
        with self._lock:
            self._is_open = False
        self.process.close()
        self.counters.flush()
