"""The registry's part in the store: one state for all hosts, changed by compare-and-swap.

A change is offered to the store before it is written here; when another host was faster, nothing
has happened and the change is considered again. `sync` brings this host's directory and the store
to the same content, in both directions; what this host owes from a time when the store was away is
in its directory, and needs no other record.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

import structlog

from api.registry.audit import AuditTrail
from api.registry.content import (
    BUNDLES,
    STATE,
    Base,
    BaseFile,
    Offered,
    RegistryContent,
    SharedState,
    merged,
    read_state,
)
from api.registry.ledger import Acceptance
from api.registry.lock import RegistryLock
from api.registry.registry import Registry
from api.registry.stored_version import Meta, StoredVersion
from shared.bundle.version import Version
from shared.clock import Clock
from shared.errors import SettingsError, UnderstudyError
from shared.storage.object_store import (
    ObjectStore,
    Revision,
    StoreAway,
    StoredObject,
    Unchanged,
    WriteConflict,
    refuse_without_conditional_writes,
)

_log = structlog.get_logger()
_LOCK_SECONDS = 5.0
_SYNC_WAIT_SECONDS = 20.0
_REFUSED_SECONDS = 60.0
_ATTEMPTS = 4
_SIGNATURE_BYTES = 4_096
# An unreferenced object younger than this may belong to a push in progress.
_GARBAGE_US = 3_600_000_000

Accept = Callable[[Acceptance, StoredVersion], Meta]
"""The description of a bundle from the store; raises UnderstudyError when it cannot be trusted."""


class Share:
    """One process's view of the store; all methods but `is_away` may use the network."""

    def __init__(
        self,
        store: ObjectStore,
        registry: Registry,
        accept: Accept,
        audit: AuditTrail,
        clock: Clock,
        *,
        use_case: str,
        host: str,
        max_bytes: int,
    ) -> None:
        self.store = store
        self.is_away = False
        self._registry = registry
        self._accept = accept
        self._audit = audit
        self._clock = clock
        self._use_case = use_case
        self._host = host
        self._max_bytes = max_bytes
        self._base = BaseFile(registry.root, store.name)
        self._write_lock = RegistryLock(registry.root / ".write.lock")
        self._sync_lock = RegistryLock(registry.root / ".mirror.lock")
        self._is_probed = False
        # True if every version that this host keeps was present at the last poll.
        self._is_complete = False
        # Unusable bundles, each with the time of its next attempt.
        self._refused: dict[str, float] = {}

    @property
    def owes(self) -> bool:
        """True if this host made changes that the store does not have."""
        base = self._base.read()
        return base is None or base.owed

    @property
    def sequence(self) -> int:
        """The number of the shared state that this host has."""
        base = self._base.read()
        return 0 if base is None else base.sequence

    def upload(self, meta: Meta, stored: StoredVersion) -> None:
        """Put a bundle into the store, before any state names it.

        Raises:
            StoreAway: it could not be written.
        """
        for suffix, content in ((".sig", stored.signature.encode()), (".zip", stored.raw)):
            self.store.write(_key(meta.version, meta.sha256) + suffix, content)

    def offer(self, content: RegistryContent, *, may_be_owed: bool) -> Offered:
        """Make this the content for all hosts; callers hold the registry's write lock.

        Raises:
            WriteConflict: another host was faster.
            StoreAway: the store does not answer, and the change may not be owed.
        """
        base = self._base.read()
        if may_be_owed and (base is None or self.is_away):
            return self._owe(base, "it did not answer lately")
        if base is None:
            raise StoreAway(self.store.name, "it has not answered yet")
        try:
            return self._swap(content, base.revision, base.sequence)
        except StoreAway as error:
            self.is_away = True
            if not may_be_owed:
                raise
            return self._owe(base, str(error.strerror))

    def settle(self, offered: Offered) -> None:
        """The change is on this host's disk as well."""
        if offered.revision is not None:
            self._remember(offered.revision, offered.sequence, offered.change_id)

    def sync(self, *, at_start: bool = False) -> bool:
        """Bring this host and the store to one content; whether anything changed here.

        Raises:
            StoreAway: the store does not answer, or cannot be used.
            SettingsError: `at_start`, and it cannot be used.
            OSError: nothing can be written here.
            WriteConflict: other hosts were faster each time.
        """
        with self._sync_lock.held(_SYNC_WAIT_SECONDS):
            try:
                has_changed = self._sync_once_or_more()
            except StoreAway:
                self.is_away = True
                raise
            except SettingsError as error:
                self.is_away = True
                if at_start:
                    raise
                raise StoreAway(self.store.name, str(error)) from error
            self.is_away = False
            return has_changed

    def _sync_once_or_more(self) -> bool:
        for _ in range(_ATTEMPTS):
            with suppress(WriteConflict):
                return self._sync()
        return self._sync()

    def tidy(self) -> None:
        """Remove bundles from the store that no host needs any more; write those that it lost."""
        found = self.store.read_unless(STATE, None)
        if not isinstance(found, StoredObject):
            return
        ledger = read_state(found.content, self._use_case, self.store.name).ledger
        kept = [ledger.accepted[name] for name in self._registry.kept(ledger)]
        needed = {_key(one.version, one.sha256) for one in kept}
        before_us = self._clock.now_us() - _GARBAGE_US
        there = {info.key: info for info in self.store.list(BUNDLES)}
        for info in there.values():
            if info.key.rpartition(".")[0] not in needed and info.modified_us < before_us:
                self.store.delete(info.key)
        self._upload_lost(kept, {key: info.size_bytes for key, info in there.items()})

    def _upload_lost(self, kept: Iterable[Acceptance], sizes: Mapping[str, int]) -> None:
        """A bundle that the store lost, or has part of, is here: a new host could not start."""
        for one in kept:
            meta, key = self._registry.meta(one.version), _key(one.version, one.sha256)
            if meta is None or meta.sha256 != one.sha256:
                continue
            with suppress(FileNotFoundError):
                stored = self._registry.read(one.version)
                here = len(stored.raw), len(stored.signature.encode())
                if here != (sizes.get(f"{key}.zip"), sizes.get(f"{key}.sig")):
                    self.upload(meta, stored)
                    _log.warning("bundle_written_again", version=one.version)

    def _sync(self) -> bool:
        if not self._is_probed:
            refuse_without_conditional_writes(self.store, self._clock.now_us())
            self._is_probed = True
        base = self._base.read()
        found = self._look(base)
        if isinstance(found, Unchanged):
            return False if self._is_complete else self._fetch_rest()
        shared = None
        if found is not None:
            shared = read_state(found.content, self._use_case, self.store.name)
            self._fetch(shared, _wanted_first(shared))
        self._upload_what_is_only_here(shared)
        with self._write_lock.held(_LOCK_SECONDS):
            has_changed = self._agree(shared, None if found is None else found.revision, base)
        return self._fetch_rest() or has_changed

    def _look(self, base: Base | None) -> StoredObject | Unchanged | None:
        known = None if base is None or base.owed else base.revision
        return self.store.read_unless(STATE, known)

    def _agree(
        self, shared: SharedState | None, revision: Revision | None, base: Base | None
    ) -> bool:
        """Write the merged content wherever it differs; callers hold the write lock."""
        here = self._registry.content()
        if shared is None:
            if here.ledger.accepted:
                self.settle(self._swap(here, None, 0))
            else:
                self._base.write(Base(store=self.store.name))
            return False
        agreed = merged(here, shared.content, self._clock.now_us())
        sequence, change_id = shared.sequence, shared.change_id
        if agreed != shared.content:
            offered = self._swap(agreed, revision, sequence)
            revision, sequence, change_id = offered.revision, offered.sequence, offered.change_id
            _log.info("store_record_written", sequence=sequence, current=agreed.current)
        has_changed = agreed != here
        if has_changed and (base is None or base.change_id != shared.change_id):
            self._note(shared, here, agreed)
        self._registry.adopt(agreed)
        if revision is not None:
            self._remember(revision, sequence, change_id)
        return has_changed

    def _note(self, shared: SharedState, here: RegistryContent, agreed: RegistryContent) -> None:
        """A line in this host's own trail for what another host did."""
        details: dict[str, object] = {"sequence": shared.sequence, "host": shared.writer}
        if agreed.current != here.current:
            details |= {"version": agreed.current, "previous": here.current}
        with suppress(OSError):
            self._audit.write("mirrored", "store", f"changed by {shared.writer}", **details)
        _log.info("registry_mirrored", **details)

    def _swap(self, content: RegistryContent, known: Revision | None, sequence: int) -> Offered:
        change_id = secrets.token_hex(8)
        state = SharedState(
            use_case=self._use_case,
            sequence=sequence + 1,
            change_id=change_id,
            writer=self._host,
            written_at_us=self._clock.now_us(),
            current=content.current,
            ledger=content.ledger,
            rollouts=content.rollouts,
        )
        try:
            revision = self.store.write_if(STATE, state.to_bytes(), known)
        except WriteConflict:
            # A proxy or client may have repeated a write whose response was lost.
            found = self.store.read_unless(STATE, None)
            is_mine = f'"{change_id}"'.encode()
            if not isinstance(found, StoredObject) or is_mine not in found.content:
                raise
            revision = found.revision
        return Offered(revision, sequence + 1, change_id)

    def _owe(self, base: Base | None, problem: str) -> Offered:
        """Writes to disk before the change itself, so that a restart does not forget it."""
        known = base or Base(store=self.store.name)
        if base is not None and not base.owed:
            _log.warning("store_record_owed", problem=problem)
        with suppress(OSError):
            self._base.write(known.model_copy(update={"owed": True}))
        return Offered(None, known.sequence, known.change_id)

    def _remember(self, revision: Revision, sequence: int, change_id: str) -> None:
        self._base.write(
            Base(
                store=self.store.name,
                e_tag=revision.e_tag,
                number=revision.number,
                sequence=sequence,
                change_id=change_id,
            )
        )

    def _fetch_rest(self) -> bool:
        """The other versions that a host keeps; whether any came."""
        content = self._registry.content()
        wanted = sorted(self._registry.kept(content.ledger), key=Version.parse, reverse=True)
        came = [name for name in wanted if self._fetch_one(content.ledger.accepted[name])]
        self._is_complete = all(
            self._registry.holds(name, content.ledger.accepted[name].sha256) for name in wanted
        )
        if came:
            with self._write_lock.held(_LOCK_SECONDS):
                self._registry.touch()
        return bool(came)

    def _fetch(self, shared: SharedState, versions: Iterator[str]) -> None:
        for name in versions:
            accepted = shared.ledger.accepted.get(name)
            if accepted is not None:
                self._fetch_one(accepted)

    def _fetch_one(self, accepted: Acceptance) -> bool:
        """True if it came just now; an untrusted one is reported once, and not kept."""
        version, sha256 = accepted.version, accepted.sha256
        if self._registry.holds(version, sha256) or accepted.revoked_at_us is not None:
            return False
        if time.monotonic() < self._refused.get(sha256, 0.0):
            return False
        try:
            raw = self.store.read(_key(version, sha256) + ".zip", self._max_bytes)
            signature = self.store.read(_key(version, sha256) + ".sig", _SIGNATURE_BYTES)
            if raw is None or signature is None:
                return self._refuse(accepted, "the store does not have it")
            stored = StoredVersion(raw.content, signature.content.decode("ascii", "replace"))
            meta = self._accept(accepted, stored)
        except UnderstudyError as error:
            return self._refuse(accepted, str(error))
        with self._write_lock.held(_LOCK_SECONDS):
            # This host's own push may be writing the version at this moment.
            if not self._registry.holds(version, sha256):
                self._registry.store(meta, stored)
        _log.info("bundle_fetched", version=version, bytes=len(raw.content))
        return True

    def _refuse(self, accepted: Acceptance, reason: str) -> bool:
        self._refused[accepted.sha256] = time.monotonic() + _REFUSED_SECONDS
        _log.error("bundle_refused", version=accepted.version, reason=reason)
        return False

    def _upload_what_is_only_here(self, shared: SharedState | None) -> None:
        """Uploads bundles before any state names them: at the first start with a store."""
        known = {} if shared is None else shared.ledger.accepted
        for version in self._registry.content().ledger.accepted.keys() - known.keys():
            meta = self._registry.meta(version)
            if meta is not None:
                with suppress(FileNotFoundError):
                    self.upload(meta, self._registry.read(version))


def _key(version: str, sha256: str) -> str:
    """The name by digest, so that two hosts that race with one version's number do not meet."""
    return f"{BUNDLES}{version}/{sha256}"


def _wanted_first(shared: SharedState) -> Iterator[str]:
    """Versions required before the state is taken over: live, on trial, next fallback."""
    rollout = shared.rollouts.current
    if shared.current is not None:
        yield shared.current
    if rollout is not None:
        yield rollout.version
    targets = shared.ledger.return_order(set(shared.ledger.accepted))
    yield from [name for name in targets if name != shared.current][:1]
