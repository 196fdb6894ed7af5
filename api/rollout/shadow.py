"""A shadow: the candidate scores a copy of live rows in another process; no answer waits for it.

A row costs serving one write into a pipe that never blocks. When the pipe is full the row is
dropped and counted. When the process dies or hangs it is started again, a few times.
"""

import threading
from collections.abc import Sequence

import structlog

from api.journal.entries import Decided
from api.models.model_slot import ModelScores, Pace
from api.registry.rollouts import Rollout
from api.rollout.arm_counts import Counters
from api.rollout.bucket import Splitter
from api.rollout.canary import Judge
from api.rollout.shadow_process import ShadowProcess
from api.rollout.shadow_record import ShadowRecordFormat
from shared.usecase.serving import FloatMatrix

_log = structlog.get_logger()
RESTARTS = 3


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
