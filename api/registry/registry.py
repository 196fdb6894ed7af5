"""The registry on disk: `versions/X.Y.Z/`, `current_version.txt`, `ledger.json`.

Order of a promotion: the version's directory, then the pointer, then the ledger. A cut
between two steps leaves either an unused directory, which the next push of that version
replaces, or a version that is served and missing from the ledger, which the next start adds.

Where several hosts share a store, a change is offered to it before anything is written here.
"""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog
from pydantic import ValidationError

from api.registry.content import Offered, RegistryContent, SharedRegistry
from api.registry.history import RevokedMarks, audit_lines, rebuilt
from api.registry.ledger import Acceptance, Ledger, LedgerFile
from api.registry.rollouts import RolloutFile, Rollouts
from api.registry.stored_version import Mended, Meta, StoredVersion
from shared.bundle.version import Version
from shared.clock import MICROS_PER_SECOND
from shared.errors import ModelLoadError
from shared.storage.object_store import WriteConflict
from shared.system.files import TEMPORARY_PREFIX, write_directory, write_whole

__all__ = ["KEEP_VERSIONS", "Mended", "Meta", "Registry", "StoredVersion"]
_log = structlog.get_logger()
BUNDLE, SIGNATURE, META = "bundle.zip", "bundle.sig", "meta.json"
KEEP_VERSIONS = 10
# Seconds in service after which a version counts as having served well.
SERVED_WELL_SECONDS = 600.0


class Registry:
    """Reads and writes one registry directory; callers hold the write lock to write."""

    def __init__(self, root: Path, served_well_seconds: float = SERVED_WELL_SECONDS) -> None:
        self.root = root
        # The state shared with other hosts; None: a single host.
        self.shared: SharedRegistry | None = None
        self._rollout_file = RolloutFile(root)
        self.pointer = root / "current_version.txt"
        self.audit_path = root / "audit.jsonl"
        self.served_well_seconds = served_well_seconds
        self._ledger_file = LedgerFile(root / "ledger.json")
        self._versions = root / "versions"
        self._revoked = RevokedMarks(root)
        self.ledger = Ledger()

    @property
    def ledger_path(self) -> Path:
        return self._ledger_file.path

    def open(self) -> list[Mended]:
        """Read the ledger and tidy up after a process that was killed while writing.

        Only half-written files are removed. A version that the ledger does not know stays where it
        is and is not served: the ledger may be the one that is wrong.
        """
        self._versions.mkdir(parents=True, exist_ok=True)
        for leftover in (*self.root.glob(f"{TEMPORARY_PREFIX}*"), *self._leftover_directories()):
            _remove(leftover)
        found = self._ledger_file.salvaged()
        self.ledger = self._revoked.applied_to(found.ledger)
        trouble = found.trouble or self._gap()
        mended = [] if trouble is None else self._rebuild(trouble)
        current = self.current()
        if current is not None and current not in self.ledger.accepted:
            self._adopt(current)
        for version in sorted(self._on_disk() - set(self.ledger.accepted)):
            _log.warning("version_not_accepted", version=version, served=False)
        finished = self._finish(current)
        return mended or finished

    def refresh(self) -> bool:
        """Read the ledger as it is now; whether it differs. An unreadable one changes nothing."""
        known = self.ledger
        with suppress(OSError, ValidationError):
            self.ledger = self._revoked.applied_to(self._ledger_file.read())
        return self.ledger != known

    def current(self) -> str | None:
        """The version in the pointer; None when it is missing or not a version."""
        try:
            text = self.pointer.read_text().strip()
            return str(Version.parse(text))
        except (OSError, ValueError):
            return None

    def stored(self) -> set[str]:
        """Versions that were accepted, are on disk and may be served."""
        ledger = self.ledger
        return {
            name
            for name in self._on_disk()
            if name in ledger.accepted and not ledger.is_revoked(name)
        }

    def return_order(self) -> list[str]:
        """Versions on disk that a rollback may go to, the best first."""
        return self.ledger.return_order(self.stored())

    def fallback_for(self, version: str) -> str | None:
        """The version on disk that a rollback from this one goes to."""
        return next((name for name in self.return_order() if name != version), None)

    def read(self, version: str) -> StoredVersion:
        """Raises OSError when it is not there."""
        folder = self._versions / version
        return StoredVersion((folder / BUNDLE).read_bytes(), (folder / SIGNATURE).read_text())

    def meta(self, version: str) -> Meta | None:
        try:
            return Meta.model_validate_json((self._versions / version / META).read_bytes())
        except (OSError, ValidationError):
            return None

    def thresholds(self, version: str) -> dict[str, float]:
        """The thresholds of a version; empty when its files are deleted."""
        return self.known_thresholds(version) or {}

    def known_thresholds(self, version: str) -> dict[str, float] | None:
        """The thresholds of a version; None when its files are deleted, or are not here yet."""
        meta = self.meta(version)
        return None if meta is None else meta.thresholds

    def store(self, meta: Meta, stored: StoredVersion) -> None:
        folder = self._versions / meta.version
        if folder.exists():
            shutil.rmtree(folder)
        files = {
            BUNDLE: stored.raw,
            SIGNATURE: stored.signature.strip().encode() + b"\n",
            META: _as_json(meta),
        }
        write_directory(folder, files)

    def describe(self, meta: Meta) -> None:
        """Write the description of a version that is on disk again."""
        write_whole(self._versions / meta.version / META, _as_json(meta))

    def commit(
        self,
        ledger: Ledger,
        *,
        current: str | None = None,
        rollouts: Rollouts | None = None,
        stored: tuple[Meta, StoredVersion] | None = None,
        may_be_owed: bool = False,
        audited: Callable[[], None] | None = None,
    ) -> None:
        """Carry out one change: for all hosts, then here; when that fails the pointer goes back.

        `current` and `rollouts` stay as they are where None; `may_be_owed`: carried out here even
        while the store is away, which then gets it later.

        Raises:
            ModelLoadError: `current` is revoked.
            WriteConflict: another host was faster; nothing was changed.
            StoreAway, OSError: it could not be written.
        """
        if current is not None and ledger.is_revoked(current):
            raise ModelLoadError(f"version {current} is revoked")
        offered = self._offer(ledger, current, rollouts, may_be_owed=may_be_owed)
        if stored is not None:
            self.store(*stored)
        if audited is not None:
            audited()
        self._write(ledger, current, rollouts)
        if self.shared is not None and offered is not None:
            self.shared.settle(offered)

    def save(self, ledger: Ledger) -> None:
        """Commit a change of the ledger alone that this host may owe to the others."""
        self.commit(ledger, may_be_owed=True)

    def point_to(self, version: str) -> None:
        write_whole(self.pointer, version.encode() + b"\n")

    def content(self) -> RegistryContent:
        """The content on disk now; unreadable files count as empty."""
        ledger = self._revoked.applied_to(self._ledger_file.salvaged().ledger)
        return RegistryContent(self.current(), ledger, self._rollout_file.read(Rollouts()))

    def adopt(self, content: RegistryContent) -> None:
        """Write what the hosts agreed on; callers hold the write lock.

        The processes of this host notice that the files changed.
        """
        here = self.content()
        for version, accepted in content.ledger.accepted.items():
            if accepted.revoked_at_us is not None and not here.ledger.is_revoked(version):
                self._revoked.write(accepted)
                shutil.rmtree(self._versions / version, ignore_errors=True)
        current = None if content.current == here.current else content.current
        rollouts = None if content.rollouts == here.rollouts else content.rollouts
        if current is not None or content.ledger != here.ledger or rollouts is not None:
            self._write(content.ledger, current, rollouts, remember=False)

    def touch(self) -> None:
        """Make the processes of this host look again: bundles have come."""
        self._ledger_file.write(self._ledger_file.read())

    def revoke(
        self, version: str, reason: str, now_us: int, audited: Callable[[], None] | None = None
    ) -> None:
        """Bars a version for good; a crash in between leaves it revoked or as it was."""
        ledger = self.ledger.with_revocation(version, reason, now_us)
        self._revoked.write(ledger.accepted[version])
        self.commit(ledger, may_be_owed=True, audited=audited)
        shutil.rmtree(self._versions / version, ignore_errors=True)

    def holds(self, version: str, sha256: str) -> bool:
        """True if the bundle that was accepted as this version is on disk, as far as is known."""
        meta = self.meta(version)
        bundle = self._versions / version / BUNDLE
        return meta is not None and meta.sha256 == sha256 and bundle.exists()

    def _offer(
        self, ledger: Ledger, current: str | None, rollouts: Rollouts | None, *, may_be_owed: bool
    ) -> Offered | None:
        if self.shared is None:
            return None
        content = RegistryContent(
            current or self.current(),
            ledger,
            self._rollout_file.read(Rollouts()) if rollouts is None else rollouts,
        )
        return self.shared.offer(content, may_be_owed=may_be_owed)

    def _write(
        self,
        ledger: Ledger,
        current: str | None,
        rollouts: Rollouts | None,
        *,
        remember: bool = True,
    ) -> None:
        """Pointer, ledger, rollout; the end of a rollout alone comes before the ledger."""
        before = self.current()
        ends_first = current is None and rollouts is not None and rollouts.current is None
        if rollouts is not None and ends_first:
            self._rollout_file.write(rollouts)
        if current is not None:
            self.point_to(current)
        try:
            self._ledger_file.write(ledger)
        except OSError:
            if current is not None:
                with suppress(OSError):
                    self.pointer.unlink() if before is None else self.point_to(before)
            raise
        if remember:
            self.ledger = ledger
        if rollouts is not None and not ends_first:
            self._rollout_file.write(rollouts)

    def prune(self, keep: set[str]) -> None:
        """Remove all but the newest versions, those named, and those to return to."""
        kept = keep | self.kept(self.ledger, self.stored())
        for version in self.stored() - kept:
            shutil.rmtree(self._versions / version)
            _log.info("version_removed", version=version)

    def kept(self, ledger: Ledger, among: set[str] | None = None) -> set[str]:
        """Versions whose files are kept: the newest, and those to return to; none revoked."""
        known = ledger.accepted if among is None else among
        usable = [name for name in known if not ledger.is_revoked(name)]
        newest_first = sorted(usable, key=Version.parse, reverse=True)
        rollout = self._rollout_file.read(Rollouts()).current
        on_trial = set() if rollout is None else {rollout.version, rollout.champion}
        kept = {*newest_first[:KEEP_VERSIONS], *ledger.worth_keeping(), *on_trial}
        return {name for name in kept if name in ledger.accepted and not ledger.is_revoked(name)}

    def _leftover_directories(self) -> list[Path]:
        return list(self._versions.glob(f"{TEMPORARY_PREFIX}*"))

    def _on_disk(self) -> set[str]:
        names = (path.parent.name for path in self._versions.glob(f"*/{BUNDLE}"))
        return {name for name in names if _is_version(name)}

    def _adopt(self, version: str) -> None:
        """The pointer names it: its promotion was cut off before the ledger was written."""
        meta, lines = self.meta(version), list(audit_lines(self.audit_path))
        if lines and lines[-1].what == "promotion" and lines[-1].version == version:
            self._try_to_save(lines[-1].applied_to(self.ledger))
        elif meta is not None and meta.version == version:
            accepted = self.ledger.with_accepted(meta.acceptance(), None)
            self._try_to_save(accepted.with_activation(version, meta.accepted_at_us))

    def _finish(self, current: str | None) -> list[Mended]:
        """Record the pointer's version where the ledger names another one.

        The audit trail distinguishes an interrupted change, which has its line already, from one by
        hand. In both cases the version that an older one replaced is marked as rolled back;
        otherwise a later rollback could return to it.
        """
        ledger, last = self.ledger, self.ledger.served_last
        if last is None or current is None or last.version == current:
            return []
        if current not in ledger.accepted or ledger.is_revoked(current):
            return []
        moved_us = max(_changed_at_us(self.pointer), last.activated_at_us + 1)
        lines = [line for line in audit_lines(self.audit_path) if line.takes_into_service]
        if lines and lines[-1].version == current and lines[-1].at_us >= last.activated_at_us:
            retold_at_us = replace(lines[-1], at_us=max(lines[-1].at_us, moved_us))
            self._try_to_save(retold_at_us.applied_to(ledger))
            return []
        self._try_to_save(ledger.with_hand_change(current, moved_us))
        details: dict[str, object] = {"version": current, "previous": last.version}
        why = "current_version.txt was changed while the service was down"
        return [Mended("hand-change", why, details)]

    def _gap(self) -> str | None:
        """The versions missing in a readable ledger: it may be an old copy, or an empty one."""
        on_disk, accepted = self._on_disk(), set(self.ledger.accepted)
        lines = audit_lines(self.audit_path)
        served = {line.previous for line in lines if line.takes_into_service}
        lost = sorted((on_disk if not accepted else on_disk & served) - accepted)
        return f"it lacks versions: {', '.join(lost[:5])}" if lost else None

    def _rebuild(self, trouble: str) -> list[Mended]:
        """A ledger from what was saved of it, the audit trail and what lies on disk."""
        lines = list(audit_lines(self.audit_path))
        if not (self._on_disk() or lines or self.ledger_path.exists()):
            return []  # first start: an empty registry
        on_disk = sorted(self._on_disk(), key=Version.parse)
        acceptances = filter(None, map(self._acceptance_of_files, on_disk))
        declared_us = int(self.served_well_seconds * MICROS_PER_SECOND)
        ledger = rebuilt(self.ledger, lines, acceptances, declared_us)
        self.ledger = self._revoked.applied_to(ledger)
        self._ledger_file.put_aside()
        self._try_to_save(self.ledger)
        why = f"ledger.json: {trouble}; rebuilt from the audit trail and the versions on disk"
        _log.error("ledger_rebuilt", reason=trouble, accepted=len(self.ledger.accepted))
        return [Mended("ledger-rebuilt", why, {"accepted": len(self.ledger.accepted)})]

    def _acceptance_of_files(self, version: str) -> Acceptance | None:
        meta = self.meta(version)
        if meta is not None and meta.version == version:
            return meta.acceptance()
        try:
            stored = self.read(version)
            at_us = _changed_at_us(self._versions / version / BUNDLE)
        except (OSError, ValueError) as error:
            _log.warning("version_unreadable", version=version, error=str(error)[:200])
            return None
        # The signature is verified when the version is loaded; here only its files are listed.
        return Acceptance(
            version=version,
            sha256=hashlib.sha256(stored.raw).hexdigest(),
            key_id=stored.signature.partition(":")[0][:100],
            accepted_at_us=at_us,
        )

    def _try_to_save(self, ledger: Ledger) -> None:
        """A start does not depend on a disk that is full: what is not written is found again."""
        self.ledger = ledger
        try:
            self.save(ledger)
        except (OSError, WriteConflict) as error:
            _log.error("ledger_not_saved", error=str(error))


def _as_json(meta: Meta) -> bytes:
    return meta.model_dump_json(indent=2).encode() + b"\n"


def _changed_at_us(path: Path) -> int:
    try:
        return max(0, path.stat().st_mtime_ns // 1_000)
    except OSError:
        return 0


def _remove(leftover: Path) -> None:
    """A leftover that cannot be removed costs its space, not the start."""
    try:
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    except OSError as error:
        _log.warning("leftover_not_removed", name=leftover.name, error=str(error))


def _is_version(name: str) -> bool:
    try:
        Version.parse(name)
    except ValueError:
        return False
    return True
