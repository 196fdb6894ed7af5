"""Every change of what is served: push, rollback, and the restore at start-up."""

import threading
from dataclasses import dataclass, replace

import structlog

from api.metrics import Metrics
from api.models.live import LiveModel, ModelHolder
from api.models.refusals import (
    FencingStale,
    NoFallback,
    NotServing,
    VersionNotNewer,
    VersionUnknown,
)
from api.models.shelf import Shelf
from api.models.verify import Authentic, Verifier
from api.registry.audit import AuditTrail
from api.registry.registry import Meta, Registry, StoredVersion
from shared.clock import Clock

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What is served now, and what was before."""

    version: str
    previous: str | None
    activated_at_us: int


@dataclass(frozen=True, slots=True)
class Push:
    """One attempt to promote."""

    raw: bytes
    signature: str
    fencing_number: int | None
    who: str


class Promoter:
    """Two locks: pushes wait for each other, and a rollback never waits for a push's checks."""

    def __init__(
        self,
        *,
        registry: Registry,
        verifier: Verifier,
        holder: ModelHolder,
        audit: AuditTrail,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._shelf = Shelf(registry, verifier)
        self._holder = holder
        self._audit = audit
        self._clock = clock
        self._metrics = metrics
        self._push_lock = threading.Lock()
        self._swap_lock = threading.Lock()

    @property
    def serving(self) -> str:
        """The version that answers now."""
        return self._holder.version

    def push(self, push: Push) -> Change:
        """Check a bundle and serve it; on any failure the old model serves on.

        Raises:
            UnderstudyError: says why it was refused.
            OSError: the registry could not be written.
        """
        with self._push_lock:
            authentic = self._verifier.authenticate(push.raw, push.signature)
            self._check_order(authentic, push.fencing_number)
            model = self._verifier.load_new(authentic, push.raw)
            with self._swap_lock:
                return self._promote(model, authentic, push)

    def rollback(
        self, version: str | None, reason: str, who: str, *, leaving: str | None = None
    ) -> Change:
        """Serve the fallback, or a named version that is on disk.

        With `leaving` given, only if that version is the one that serves.

        Raises:
            NoFallback, VersionUnknown, NotServing: there is nothing to step back to, or from.
            UnderstudyError: the version does not load any more.
            OSError: the older version serves, but a restart would not know.
        """
        with self._swap_lock:
            left = self._holder.live
            if leaving is not None and (left is None or left.version != leaving):
                raise NotServing(f"version {leaving} is not serving any more")
            model = self._target(version)
            now_us = self._clock.now_us()
            try:
                self._persist_rollback(model.version, left, reason, now_us, who)
            finally:
                # Stepping back may not depend on a disk that is full.
                change = self._serve(model, now_us)
                self._metrics.rollbacks.inc()
                _log.warning(
                    "rolled_back", version=model.version, left=change.previous, reason=reason
                )
        return change

    def restore(self) -> None:
        """Serve what was served before the restart, else the newest version that still loads."""
        with self._swap_lock:
            self._registry.open()
            for version in self._shelf.restore_order():
                model = self._shelf.load_if_possible(version)
                if model is None:
                    continue
                activated = self._registry.ledger.activated_at_us(version)
                self._serve(model, activated or self._clock.now_us())
                _log.info("restored", version=version)
                return
        _log.info("no_model_yet", registry=str(self._registry.root))

    def refused(self, code: str, reason: str, who: str) -> None:
        """Write down that a push was refused and why."""
        self._metrics.refusals.labels(code).inc()
        self._audit.write("push-refused", who, reason, code=code)
        _log.warning("push_refused", code=code, reason=reason, serving=self.serving)

    def _check_order(self, authentic: Authentic, fencing_number: int | None) -> None:
        ledger = self._registry.ledger
        if fencing_number is not None and fencing_number < ledger.fencing_number:
            raise FencingStale(
                f"fencing number {fencing_number} is older than {ledger.fencing_number}"
            )
        offered, newest = authentic.bundle.manifest.parsed_version, ledger.newest
        if newest is not None and offered <= newest:
            what = "has been accepted before" if offered == newest else "is older"
            raise VersionNotNewer(f"version {offered} {what}; newest accepted is {newest}")

    def _promote(self, model: LiveModel, authentic: Authentic, push: Push) -> Change:
        now_us, manifest = self._clock.now_us(), authentic.bundle.manifest
        meta = Meta(
            version=manifest.version,
            sha256=authentic.bundle.sha256,
            key_id=authentic.key_id,
            accepted_at_us=now_us,
            size_bytes=len(push.raw),
            manifest=manifest.model_dump(mode="json", exclude={"files"}),
        )
        self._registry.store(meta, StoredVersion(push.raw, push.signature))
        # Before the pointer moves: no change without a line, even if the next write fails.
        self._audit.write(
            "promotion",
            push.who,
            manifest.description,
            version=meta.version,
            previous=self._registry.current(),
            sha256=meta.sha256,
            key_id=meta.key_id,
        )
        accepted = self._registry.ledger.with_accepted(meta.acceptance(), push.fencing_number)
        self._registry.activate(meta.version, accepted.with_activation(meta.version, now_us))
        change = self._serve(model, now_us)
        self._metrics.swaps.inc()
        _log.info("promoted", version=meta.version, previous=change.previous, key=meta.key_id)
        self._prune()
        return change

    def _prune(self) -> None:
        models = (self._holder.live, self._holder.fallback)
        try:
            self._registry.prune({model.version for model in models if model is not None})
        except OSError as error:
            _log.warning("prune_failed", error=str(error))

    def _persist_rollback(
        self, target: str, left: LiveModel | None, reason: str, now_us: int, who: str
    ) -> None:
        previous = None if left is None else left.version
        ledger = self._registry.ledger
        if previous is not None:
            ledger = ledger.with_rollback(previous, reason, now_us)
        self._audit.write("rollback", who, reason, version=target, previous=previous)
        self._registry.activate(target, ledger.with_activation(target, now_us))

    def _serve(self, model: LiveModel, now_us: int) -> Change:
        """Assign the reference; from here on every answer is the new version's."""
        left = self._holder.live
        name = self._shelf.fallback_for(model.version)
        fallback = None if name is None else self._in_memory(name, left)
        self._holder.assign(replace(model, activated_at_us=now_us), fallback)
        self._metrics.serving(model.version)
        return Change(model.version, None if left is None else left.version, now_us)

    def _in_memory(self, name: str, left: LiveModel | None) -> LiveModel | None:
        """The fallback, loaded: stepping back must not need a disk."""
        for model in (left, self._holder.fallback):
            if model is not None and model.version == name:
                return model
        return self._shelf.load_if_possible(name)

    def _target(self, version: str | None) -> LiveModel:
        """The loaded model to step back to."""
        live, fallback = self._holder.live, self._holder.fallback
        if version is None and fallback is None:
            raise NoFallback("no earlier version that was not stepped back from is on disk")
        if fallback is not None and version in (None, fallback.version):
            return fallback
        known = self._shelf.versions()
        if version is None or version not in known:
            raise VersionUnknown(f"there is no version {str(version)[:40]!r}", known)
        if live is not None and version == live.version:
            raise NoFallback(f"version {version} is the one that is serving")
        return self._shelf.load(version)
