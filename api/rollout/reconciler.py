"""The reconciler: keeps the trial that scoring sees equal to the rollout in force."""

import threading
import time
from collections.abc import Callable
from functools import partial

import structlog

from api.models.model_slot import LiveModel, ModelSlot
from api.registry.rollouts import Rollout
from api.rollout.canary import Canary
from api.rollout.trial_factory import RolloutTrial, TrialFactory
from api.workers.file_watcher import RETRY_SECONDS
from api.workers.roster import CONVERGE_SECONDS, LaggingWorker, Workers
from api.workers.run_dir import RunDir, WorkerReport
from shared.errors import UnderstudyError

_log = structlog.get_logger()
TOLD = "rollout"
_POLL_SECONDS = 0.01
_NOT_YET = f"it did not follow within {CONVERGE_SECONDS:g} s"


class TrialReconciler:
    """Holds the one trial of this process."""

    def __init__(
        self,
        slot: ModelSlot,
        trials: TrialFactory,
        run_dir: RunDir,
        broken: Callable[[str, str], None],
    ) -> None:
        self._slot = slot
        self._trials = trials
        self._run_dir = run_dir
        self._broken = broken
        self._lock = threading.Lock()
        self._active: RolloutTrial | None = None
        self._trouble: str | None = None
        self._retry_at = 0.0

    def apply(self, wanted: Rollout | None) -> None:
        """Make this the rollout that scoring sees."""
        with self._lock:
            left = self._active
            is_so = wanted == (None if left is None else left.rollout)
            if is_so and self._slot.trial is left:
                return
            if wanted is not None and left is None and time.monotonic() < self._retry_at:
                return
            self._active = None if wanted is None else self._try(wanted)
            if self._active is None:
                self._slot.try_out(None)
            stage = None if self._active is None else self._active.rollout.stage_key
            self._run_dir.publish(TOLD, {"stage": stage, "trouble": self._trouble})
        if left is not None:
            left.stop()

    def settle(self) -> None:
        active = self._active
        if active is not None:
            active.settle()

    def flush(self) -> None:
        """Write what this process counted so far."""
        active = self._active
        if active is not None:
            active.counters.flush()

    def loaded(self, version: str) -> LiveModel | None:
        """The candidate, if this process has it in memory."""
        active = self._active
        if isinstance(active, Canary) and active.rollout.version == version:
            return active.candidate
        return None

    def followed(self, rollout: Rollout) -> Workers:
        """Waits for all workers to have this stage or to report a failure; returns their states."""
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            reports, numbers = self._run_dir.reports(TOLD), range(self._run_dir.total)
            late = [at for at in numbers if reports.get(at, {}).get("stage") != rollout.stage_key]
            troubles = {
                at: reports[at]["trouble"] for at in late if reports.get(at, {}).get("trouble")
            }
            if len(troubles) == len(late) or time.monotonic() >= deadline:
                failed = tuple(LaggingWorker(at, troubles.get(at, _NOT_YET)) for at in late)
                return Workers(len(numbers) - len(late), len(numbers), failed)
            time.sleep(_POLL_SECONDS)

    def told(self) -> dict[int, WorkerReport]:
        return self._run_dir.reports(TOLD)

    def _try(self, wanted: Rollout) -> RolloutTrial | None:
        """None when the candidate cannot be tried here; it is tried again after a while."""
        broken = partial(self._broken, wanted.version)
        try:
            trial = self._trials.make(wanted, self.loaded(wanted.version), broken)
        except (UnderstudyError, OSError) as error:
            self._trouble = str(error)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            _log.error("rollout_not_taken_over", version=wanted.version, error=str(error))
            return None
        self._trouble = None
        if self._slot.try_out(trial):
            return trial
        trial.stop()
        return None
