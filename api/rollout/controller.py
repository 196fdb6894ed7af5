"""The rollout controller: begin, grow, promote, abort, and follow changes of other workers.

`rollout.json` is the truth that workers share; it is written under the registry's lock. The safe
half of a change always takes effect first: a trial is dropped from memory before its end is
written, and a version is promoted by the same steps as any other.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from secrets import token_hex

import structlog

from api.models.model_slot import LiveModel, ModelSlot
from api.models.promoter import Promoter
from api.models.refusals import NoRollout, RolloutConflict, check_step
from api.models.serving_state import Push, VersionChange
from api.registry.audit import AuditTrail
from api.registry.ledger import Ledger
from api.registry.registry import Meta, Registry, StoredVersion
from api.registry.rollouts import ChangeRequest, Rollout, RolloutFile, RolloutOutcome, Rollouts
from api.rollout.arm_counts import clear_other_stages
from api.rollout.reconciler import TrialFactory, TrialReconciler
from api.workers.roster import Workers
from api.workers.run_dir import RunDir, WorkerReport
from shared.clock import Clock, to_the_second
from shared.contracts.rollouts import SHARES, Mode
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
_WRITE_WAIT_SECONDS = 5.0
# Ending a rollout takes less than two seconds, whatever another process is doing.
_ABORT_WAIT_SECONDS = 1.0
RECONCILE_SECONDS = 0.5


class RolloutController:
    """Changes rollouts; one per process."""

    def __init__(
        self,
        *,
        registry: Registry,
        promoter: Promoter,
        slot: ModelSlot,
        trials: TrialFactory,
        audit: AuditTrail,
        clock: Clock,
        run_dir: RunDir,
    ) -> None:
        self.file = RolloutFile(registry.root)
        self.counters_dir = trials.counters_dir
        self._registry = registry
        self._promoter = promoter
        self._slot = slot
        self._trials = trials
        self._audit = audit
        self._clock = clock
        self._run_dir = run_dir
        self._reconciler = TrialReconciler(slot, trials, run_dir, self._broken)
        self._rollouts = Rollouts()
        # The version whose rollout was aborted here, even if the file does not say so yet.
        self._dropped: str | None = None

    @property
    def rollouts(self) -> Rollouts:
        """The content of the file when it was last read."""
        return self._rollouts

    @property
    def worker(self) -> int:
        """The number of this process among the workers."""
        return self._run_dir.number

    @property
    def workers(self) -> int:
        """The configured number of processes."""
        return self._run_dir.total

    def told(self) -> dict[int, WorkerReport]:
        """The stage of each worker, and the reason if it cannot follow."""
        return self._reconciler.told()

    def flush(self) -> None:
        """Write what this process counted, so that a sum over all processes is current."""
        self._reconciler.flush()

    def followed(self) -> Workers | None:
        """The workers that run the stage, at most two seconds old; None: no rollout."""
        rollout = self.rollout
        return None if rollout is None else self._reconciler.followed(rollout)

    @property
    def rollout(self) -> Rollout | None:
        """The rollout in force."""
        rollout = self._rollouts.against(self._slot.version)
        return None if rollout is None or rollout.version == self._dropped else rollout

    def push(self, push: Push, mode: Mode) -> tuple[VersionChange, Mode]:
        """Take a bundle into service as asked; a first model goes at once.

        Raises:
            UnderstudyError, OSError: as `Promoter.push`, or another rollout is not over.
        """
        if mode is Mode.IMMEDIATE or self._slot.live is None:
            return self._promoter.push(push), Mode.IMMEDIATE
        self._check_free()
        change = self._promoter.push(replace(push, trial=partial(self._begin, mode, push.who)))
        self._apply()
        return change, mode

    def advance(self, request: ChangeRequest, share: int | None = None) -> Rollout:
        """Show the version to more users; a shadow becomes a canary.

        Raises:
            NoRollout, RolloutConflict, FencingStale: nothing was changed.
            OSError: neither.
        """
        grown = self._promoter.repeated(lambda: self._grow(request, share))
        self._apply()
        clear_other_stages(self.counters_dir, grown.stage_key)
        _log.info(
            "rollout_advanced",
            reason=request.why,
            version=grown.version,
            share_percent=grown.share_percent,
        )
        return grown

    def promote(self, request: ChangeRequest) -> VersionChange:
        """Serve the version to all users.

        Raises:
            NoRollout, FencingStale: nothing was changed.
            UnderstudyError, OSError: neither.
        """
        change = self._promoter.repeated(lambda: self._promote(request))
        self._apply()
        _log.info(
            "rollout_promoted",
            version=change.version,
            previous=change.previous,
            reason=request.why,
        )
        return change

    def abort(self, request: ChangeRequest) -> VersionChange:
        """The champion answers all users again, from now on.

        Raises:
            NoRollout, FencingStale: nothing was changed.
            OSError: it is over here, but a restart would not know.
        """
        check_step(self._registry.ledger, request.fencing_number)
        _, rollout = self._read(request)
        # First in memory: the abort takes effect even if the file cannot be written.
        self._dropped = rollout.version
        self._slot.try_out(None)
        _log.warning("rollout_aborted", version=rollout.version, reason=request.why)
        try:
            self._promoter.repeated(lambda: self._record_abort(request, rollout))
        finally:
            self._apply()
        live = self._slot.live
        activated_us = self._clock.now_us() if live is None else live.activated_at_us
        return VersionChange(self._slot.version, rollout.version, activated_us)

    def end_crashed(self, died: Iterable[str]) -> None:
        """End the trials of versions that a process died in: one death is enough on trial.

        Call before the trial is taken up again.
        """
        for version in sorted(died):
            request = ChangeRequest(
                version, "candidate_crashed: a process died inside of its code", "crash"
            )
            try:
                # Another worker may have recorded it, or the crashed version was the champion.
                with suppress(NoRollout, RolloutConflict):
                    self.abort(request)
            except OSError as error:
                _log.error("crashed_rollout_not_recorded", version=version, reason=str(error))

    def catch_up(self) -> None:
        """Apply the file's current content."""
        self._rollouts = self.file.read(self._rollouts)
        self._apply()

    def settle(self) -> None:
        """A few times a second: keep the trial and the books in order."""
        self._apply()
        self._reconciler.settle()
        self._close_books()

    def stop(self) -> None:
        self._reconciler.apply(None)

    def _grow(self, request: ChangeRequest, share: int | None) -> Rollout:
        with self._promoter.writing(_WRITE_WAIT_SECONDS):
            check_step(self._registry.ledger, request.fencing_number)
            rollouts, rollout = self._read(request)
            target = rollout.next_share if share is None else share
            if target is None or target <= rollout.share_percent or target not in SHARES:
                raise RolloutConflict(_no_share(rollout))
            grown = rollout.with_share(target, self._clock.now_us())
            shown = {"version": grown.version, "share_percent": target}
            line = partial(self._audit.write, "rollout-advanced", request.who, request.why, **shown)
            self._write(rollouts.begun(grown), self._fenced(request), line)
        return grown

    def _promote(self, request: ChangeRequest) -> VersionChange:
        with self._promoter.writing(_WRITE_WAIT_SECONDS):
            check_step(self._registry.ledger, request.fencing_number)
            rollouts, rollout = self._read(request)
            version = rollout.version
            model = self._reconciler.loaded(version) or self._trials.loader.load_and_try(version)
            now_us = self._clock.now_us()
            ended = rollouts.ended(RolloutOutcome.PROMOTED, request.why, request.who, now_us)
            change = self._promoter.activate(
                model, request.who, request.why, self._fenced(request), ended
            )
            self._rollouts, self._dropped = ended, None
        return change

    def _record_abort(self, request: ChangeRequest, rollout: Rollout) -> None:
        with self._promoter.writing(_ABORT_WAIT_SECONDS):
            rollouts, ledger = self.file.read(self._rollouts), self._fenced(request)
            if rollouts.current is not None and rollouts.current.version == rollout.version:
                self._end(rollouts, RolloutOutcome.ABORTED, request.why, request.who, ledger)
            elif ledger != self._registry.ledger:
                self._registry.save(ledger)

    def _begin(
        self,
        mode: Mode,
        who: str,
        model: LiveModel,
        accepted: Ledger,
        stored: tuple[Meta, StoredVersion],
    ) -> VersionChange:
        """Called by the promoter: the version can be accepted, the registry's lock is held."""
        self._check_free()
        now_us, version = self._clock.now_us(), model.version
        rollout = Rollout(
            mode=mode,
            version=version,
            champion=self._slot.version,
            salt=token_hex(16),
            share_percent=SHARES[0] if mode is Mode.CANARY else 0,
            began_at_us=now_us,
            stage_since_us=now_us,
            who=who,
        )
        shown = rollout.model_dump(include={"version", "champion", "share_percent"})
        description = model.model.manifest.description
        line = partial(self._audit.write, "rollout-begun", who, description, mode=mode, **shown)
        self._write(self.file.read(self._rollouts).begun(rollout), accepted, line, stored)
        clear_other_stages(self.counters_dir, rollout.stage_key)
        _log.info("rollout_begun", mode=str(mode), **shown)
        return VersionChange(version, rollout.champion, now_us)

    def _check_free(self) -> None:
        running = self.file.read(self._rollouts).against(self._registry.current())
        if running is not None:
            raise RolloutConflict(
                f"version {running.version} is being rolled out ({running.mode.value}, "
                f"{running.share_percent} % of users); promote or abort it first"
            )

    def _read(self, request: ChangeRequest) -> tuple[Rollouts, Rollout]:
        """The file's content and the running rollout, if it matches the caller's request."""
        rollouts = self.file.read(self._rollouts)
        rollout = rollouts.against(self._slot.version)
        if rollout is None or rollout.version == self._dropped:
            raise NoRollout(self._nothing_on_trial())
        if request.version not in (None, rollout.version):
            raise RolloutConflict(
                f"the version that is rolled out is {rollout.version}, not {request.version[:40]}"
            )
        if request.share_percent not in (None, rollout.share_percent):
            raise RolloutConflict(
                f"the share of {rollout.version} is {rollout.share_percent} % by now, not "
                f"{request.share_percent} %"
            )
        return rollouts, rollout

    def _nothing_on_trial(self) -> str:
        said = f"no version is being rolled out; {self._slot.version} serves all users"
        last = self._rollouts.last
        if last is None:
            return said
        ended = to_the_second(last.ended_at_us)
        return f"{said}; the last rollout, of {last.version}, was {last.outcome} at {ended}"

    def _write(
        self,
        rollouts: Rollouts,
        ledger: Ledger,
        line: Callable[[], None],
        stored: tuple[Meta, StoredVersion] | None = None,
    ) -> None:
        """Callers hold the registry's lock. The end of a rollout does not wait for the store."""
        self._registry.commit(
            ledger,
            rollouts=rollouts,
            stored=stored,
            may_be_owed=rollouts.current is None,
            audited=line,
        )
        self._rollouts, self._dropped = rollouts, None

    def _fenced(self, request: ChangeRequest) -> Ledger:
        """A ledger that refuses lower fencing numbers from now on."""
        return self._registry.ledger.with_step(request.fencing_number)

    def _end(
        self, rollouts: Rollouts, outcome: RolloutOutcome, why: str, who: str, ledger: Ledger
    ) -> None:
        """Callers hold the registry's lock."""
        left = rollouts.current
        if left is None:
            return
        now_us = self._clock.now_us()
        if outcome is not RolloutOutcome.PROMOTED:
            # Marked as rolled back, so that no rollback ever goes to it.
            ledger = ledger.with_rollback(left.version, why, now_us)
        shown = {"version": left.version, "champion": left.champion, "outcome": outcome}
        line = partial(self._audit.write, "rollout-ended", who, why, **shown)
        self._write(rollouts.ended(outcome, why, who, now_us), ledger, line)

    def _apply(self) -> None:
        self._reconciler.apply(self.rollout)

    def _broken(self, version: str, why: str) -> None:
        try:
            self.abort(ChangeRequest(version, why, "canary"))
        except NoRollout:
            return

    def _close_books(self) -> None:
        """A rollout whose champion is not current any more is over; write down how it ended."""
        left = self._rollouts.current
        current = self._registry.current()
        if left is None or current in (None, left.champion):
            return
        with suppress(WriteConflict), self._promoter.writing(_WRITE_WAIT_SECONDS):
            rollouts = self.file.read(self._rollouts)
            if rollouts.current == left and self._registry.current() == current:
                outcome, why = self._how_it_ended(left, str(current))
                self._end(rollouts, outcome, why, "registry", self._registry.ledger)
            self._rollouts = self.file.read(self._rollouts)

    def _how_it_ended(self, left: Rollout, current: str) -> tuple[RolloutOutcome, str]:
        if current == left.version:
            return RolloutOutcome.PROMOTED, "it serves"
        ledger = self._registry.ledger
        champion = ledger.accepted.get(left.champion)
        if champion is not None and ledger.was_left(left.champion):
            return (
                RolloutOutcome.ABORTED,
                f"rolled back to {current}: {champion.rolled_back_reason}",
            )
        return RolloutOutcome.SUPERSEDED, f"version {current} serves instead of {left.champion}"


def _no_share(rollout: Rollout) -> str:
    said = f"version {rollout.version} has {rollout.share_percent} % of users; "
    if rollout.next_share is None:
        return f"{said}the next step is to promote it"
    greater = ", ".join(str(share) for share in SHARES if share > rollout.share_percent)
    return f"{said}shares only grow, and the next ones are {greater}"
