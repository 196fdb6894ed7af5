"""Every change of the live version: push, rollback, restore at start-up, and catching up.

The files of the registry are the truth. They are changed under their lock, after they were read
again. Other workers notice that the files changed and reload them.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TypeVar

import structlog

from api.metrics import Metrics
from api.models.crashes import Crashes
from api.models.model_loader import ModelLoader
from api.models.model_slot import LiveModel, ModelSlot
from api.models.pointer import Behind, Pointer, Rollback
from api.models.refusals import NotServing, check_order
from api.models.serving_state import Push, ServingState, VersionChange
from api.models.verify import Verifier
from api.registry.audit import AuditTrail
from api.registry.ledger import Ledger
from api.registry.lock import RegistryLock
from api.registry.registry import Meta, Registry, StoredVersion
from api.registry.rollouts import Rollouts
from api.registry.share import Share
from shared.bundle.version import Version
from shared.clock import Clock
from shared.errors import ModelLoadError, UnderstudyError
from shared.storage.object_store import WriteConflict

_log = structlog.get_logger()
Changed = TypeVar("Changed")
# Retries of a change after a write conflict with another host.
_ATTEMPTS = 4
# Longer than the smoke test of another push takes.
_PUSH_WAIT_SECONDS = 60.0
_WRITE_WAIT_SECONDS = 5.0
# A rollback takes less than two seconds, whatever another process is doing.
_ROLLBACK_WAIT_SECONDS = 1.0


class Promoter:
    """Promotes versions and rolls them back; a rollback never waits for a push's checks."""

    def __init__(
        self,
        *,
        registry: Registry,
        verifier: Verifier,
        loader: ModelLoader,
        slot: ModelSlot,
        audit: AuditTrail,
        clock: Clock,
        metrics: Metrics,
        crashes: Crashes,
        share: Share | None = None,
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._loader = loader
        self._state = ServingState(self._loader, slot, metrics, crashes)
        self._audit = audit
        self.pointer = Pointer(registry, audit, clock, metrics)
        self._clock = clock
        self._metrics = metrics
        self._push_lock = RegistryLock(registry.root / ".push.lock")
        self._write_lock = RegistryLock(registry.root / ".write.lock")
        # Lock within this process, held while the reference is assigned.
        self._swap_lock = threading.Lock()
        # A rollback that could not be recorded yet.
        self._owed: Rollback | None = None
        self.behind: Behind | None = None
        self._share = share

    @property
    def serving(self) -> str:
        """The version that answers now."""
        live = self._state.live
        return "none" if live is None else live.version

    def push(self, push: Push) -> VersionChange:
        """Check a bundle and serve it; on any failure the old model serves on.

        Raises:
            UnderstudyError: says why it was refused.
            OSError: the registry could not be written.
        """
        with self._push_lock.held(_PUSH_WAIT_SECONDS):
            authentic = self._verifier.authenticate(push.raw, push.signature)
            offered = authentic.bundle.manifest.parsed_version
            if self._share is not None:
                self._share.sync()
            self._registry.refresh()
            check_order(self._registry.ledger, offered, push.fencing_number)
            model = self._verifier.load_new(authentic, push.raw)
            stored = (
                authentic.meta(self._clock.now_us(), len(push.raw)),
                StoredVersion(push.raw, push.signature),
            )
            if self._share is not None:
                self._share.upload(*stored)
            return self.repeated(lambda: self._accept(model, stored, push, offered))

    def rollback(
        self,
        version: str | None,
        reason: str,
        who: str,
        *,
        leaving: str | None = None,
        seen: str | None = None,
        what: str = "rollback",
    ) -> VersionChange:
        """Serve the fallback, or a named version that is on disk.

        With `leaving` given, only if that version is the one that serves; with `seen`, only if the
        pointer still names it. `what` is its name in the audit trail.

        Raises:
            NoFallback, VersionUnknown, NotServing: there is no version to roll back to, or from.
            UnderstudyError: the version does not load any more.
            OSError: the older version serves here; it is written down as soon as it can be.
        """

        def attempt() -> VersionChange:
            with self._swap_lock, ExitStack() as stack:
                trouble = self._take_write_lock(stack)
                left = self._state.live
                self._check_leaving(leaving, seen, left)
                model = self._state.target(version)
                now_us, previous = self._clock.now_us(), None if left is None else left.version
                pointer = self._registry.current() or previous
                step = Rollback(
                    model.version, previous, pointer, what, who, reason, now_us, version
                )
                return self._roll_back(step, model, trouble)

        return self.repeated(attempt)

    def repeated(self, change: Callable[[], Changed]) -> Changed:
        """Carry out a change; once more, on what there is then, when another host was faster.

        Raises:
            WriteConflict: others were faster each time.
        """
        for _ in range(_ATTEMPTS):
            try:
                return change()
            except WriteConflict:
                self._read_store()
        return change()

    def activate(
        self, model: LiveModel, who: str, why: str, ledger: Ledger, rollouts: Rollouts
    ) -> VersionChange:
        """Serve a version that was accepted before; callers are inside `writing`.

        Raises ModelLoadError, OSError: it is lost, or the registry could not be written.
        """
        meta = self._registry.meta(model.version)
        if meta is None:
            raise ModelLoadError(f"version {model.version} is not on disk any more")
        line = partial(self._audit_promotion, meta, who, why, None)
        return self._activate(model, meta.key_id, ledger, line, rollouts=rollouts)

    def restore(self) -> None:
        """Serve what was served before the restart, else the newest version that still loads."""
        self._registry.root.mkdir(parents=True, exist_ok=True)
        with self.writing(_WRITE_WAIT_SECONDS):
            self.pointer.open_registry()
        self._read_store(at_start=True)
        with self.writing(_WRITE_WAIT_SECONDS):
            current = self._registry.current()
            for version in self._loader.restore_order():
                model = self._loader.load_if_possible(version)
                if model is None:
                    continue
                activated = self._registry.ledger.activated_at_us(version)
                self._state.serve(model, activated or self._clock.now_us())
                _log.info("restored", version=version)
                if current is None:
                    self.pointer.restore(version)
                break
            else:
                _log.info("no_model_yet", registry=str(self._registry.root))
            if current not in (None, self.serving):
                self.behind = Behind(str(current), "it does not load here; the log says why")

    def catch_up(self) -> None:
        """Serve what another process, or an operator by hand, made current."""
        with self._swap_lock:
            self._registry.refresh()
            wanted = self._registry.current()
            if wanted is None or (self._owed is not None and wanted == self._owed.instead_of):
                return
            if wanted not in self._registry.ledger.accepted:
                self.behind = self.pointer.names_a_stranger(wanted) or self.behind
                return
            model = self._state.in_memory(wanted)
            if wanted == self.serving:
                self._state.renew_fallback()
                self.behind = None
        if wanted != self.serving:
            model = model or self._loaded_for(wanted)
            if model is None:
                return
        if self.pointer.was_moved_by_hand(wanted):
            with suppress(OSError, WriteConflict), self.writing(_WRITE_WAIT_SECONDS):
                self.pointer.note_hand_change(wanted)
        if model is not None and wanted != self.serving:
            self._take_over(model)

    def try_again(self) -> None:
        """Retry records that could not be written and versions that could not be loaded."""
        if self._owed is not None:
            with suppress(OSError, WriteConflict):
                self._record_owed()
        if self.behind is not None or self._registry.current() not in (None, self.serving):
            self.catch_up()

    def refused(self, code: str, reason: str, who: str) -> None:
        """Write down that a push was refused and why."""
        self._metrics.refusals.labels(code).inc()
        self._audit.write("push-refused", who, reason, code=code)
        _log.warning("push_refused", code=code, reason=reason, serving=self.serving)

    @contextmanager
    def writing(self, wait_seconds: float) -> Iterator[None]:
        """Alone with the registry as it is now."""
        with self._swap_lock, self._write_lock.held(wait_seconds):
            self._registry.refresh()
            yield

    def _record_owed(self) -> None:
        with self.writing(_ROLLBACK_WAIT_SECONDS):
            step = self._owed
            if step is not None and self._registry.current() in (None, step.instead_of):
                step.record(self._registry, self._audit)
                _log.info("rollback_recorded", version=step.target, left=step.left)
            self._owed = None
            self._state.renew_fallback()

    def _loaded_for(self, wanted: str) -> LiveModel | None:
        """Load outside of the lock, so that a rollback does not wait for it."""
        try:
            return self._loader.load_and_try(wanted)
        except (UnderstudyError, OSError) as error:
            self.behind = Behind(wanted, str(error))
            _log.error("version_not_taken_over", version=wanted, error=str(error))
            return None

    def _take_over(self, model: LiveModel) -> None:
        wanted = model.version
        with self._swap_lock:
            if self._registry.current() != wanted:
                return  # changed again: the next poll handles it
            activated = self._registry.ledger.activated_at_us(wanted)
            change = self._state.serve(model, activated or self._clock.now_us())
            self.behind, self._owed = None, None
        _log.info("taken_over", version=wanted, previous=change.previous)

    def _take_write_lock(self, stack: ExitStack) -> OSError | None:
        """Takes the registry's write lock; returns the reason if nothing can be written."""
        try:
            stack.enter_context(self._write_lock.held(_ROLLBACK_WAIT_SECONDS))
        except OSError as error:
            return error
        if self._registry.refresh():
            self._state.renew_fallback()
        return None

    def _check_leaving(self, leaving: str | None, seen: str | None, live: LiveModel | None) -> None:
        now = self._registry.current()
        if None not in (seen, now) and now != seen:
            raise NotServing(f"version {now} has been put into service since this was asked for")
        if leaving is None:
            return
        # Another worker may have rolled back already, unnoticed here. A version in the pointer
        # that cannot be served here is no reason to keep the live version.
        current = now or leaving
        if self.behind is not None and self.behind.version == current:
            current = leaving
        if live is None or live.version != leaving or current != leaving:
            raise NotServing(f"version {leaving} is not serving any more; {self.serving} is")

    def _roll_back(
        self, step: Rollback, model: LiveModel, trouble: OSError | None
    ) -> VersionChange:
        """Callers hold the swap's lock, and the registry's unless there is trouble."""
        self._owed = step
        try:
            self._record(step, trouble)
        except WriteConflict:
            self._owed = None
            raise
        except BaseException:
            # A rollback must not depend on a disk that is full.
            self._leave_for(step, model)
            raise
        self._owed = None
        return self._leave_for(step, model)

    def _record(self, step: Rollback, trouble: OSError | None) -> None:
        if trouble is not None:
            raise trouble
        step.record(self._registry, self._audit)

    def _leave_for(self, step: Rollback, model: LiveModel) -> VersionChange:
        change = self._state.serve(model, step.at_us)
        self._metrics.rollbacks.inc()
        self._metrics.swaps.inc()
        _log.warning("rolled_back", version=step.target, left=change.previous, reason=step.reason)
        return change

    def _read_store(self, *, at_start: bool = False) -> None:
        """Takes over changes of other hosts first; without the store this host decides alone."""
        if self._share is None:
            return
        try:
            self._share.sync(at_start=at_start)
        except (OSError, WriteConflict) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            _log.warning("store_not_read", problem=problem)
        with self._swap_lock:
            self._registry.refresh()

    def _accept(
        self, model: LiveModel, stored: tuple[Meta, StoredVersion], push: Push, offered: Version
    ) -> VersionChange:
        with self.writing(_WRITE_WAIT_SECONDS):
            check_order(self._registry.ledger, offered, push.fencing_number)
            return self._take_in(model, stored, push)

    def _take_in(
        self, model: LiveModel, stored: tuple[Meta, StoredVersion], push: Push
    ) -> VersionChange:
        meta = stored[0]
        accepted = self._registry.ledger.with_accepted(meta.acceptance(), push.fencing_number)
        if push.trial is not None:
            return push.trial(model, accepted, stored)
        why = str(meta.manifest.get("description", ""))
        line = partial(self._audit_promotion, meta, push.who, why, push.fencing_number)
        return self._activate(model, meta.key_id, accepted, line, stored=stored)

    def _audit_promotion(self, meta: Meta, who: str, why: str, fencing_number: int | None) -> None:
        """Writes the audit line before the pointer moves: no change is ever without its line."""
        details = meta.model_dump(include={"version", "sha256", "key_id"})
        if fencing_number is not None:
            details["fencing_number"] = fencing_number
        self._audit.write("promotion", who, why, previous=self._registry.current(), **details)

    def _activate(
        self,
        model: LiveModel,
        key_id: str,
        ledger: Ledger,
        line: Callable[[], None],
        *,
        stored: tuple[Meta, StoredVersion] | None = None,
        rollouts: Rollouts | None = None,
    ) -> VersionChange:
        version, now_us = model.version, self._clock.now_us()
        self._registry.commit(
            ledger.with_activation(version, now_us),
            current=version,
            rollouts=rollouts,
            stored=stored,
            audited=line,
        )
        self._owed, self.behind = None, None
        change = self._state.serve(model, now_us)
        self._metrics.swaps.inc()
        _log.info("promoted", version=version, previous=change.previous, key=key_id)
        self._prune()
        return change

    def _prune(self) -> None:
        try:
            self._registry.prune(self._state.loaded())
        except OSError as error:
            _log.warning("prune_failed", error=str(error))
