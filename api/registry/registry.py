"""The registry on disk: `versions/X.Y.Z/`, `current_version.txt`, `ledger.json`.

Order of a promotion: the version's directory, then the pointer, then the ledger. A cut
between two steps leaves either an unused directory, which the next start removes, or a
version that is served and missing from the ledger, which the next start adds.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from api.registry.files import TEMPORARY_PREFIX, write_directory, write_whole
from api.registry.ledger import Acceptance, Ledger
from api.registry.revoked import RevokedMarks
from shared.bundle.version import Version
from shared.errors import ModelLoadError

_log = structlog.get_logger()
BUNDLE, SIGNATURE, META = "bundle.zip", "bundle.sig", "meta.json"
KEEP_VERSIONS = 10


class Meta(BaseModel):
    """Beside each bundle: how it came here, and its manifest without the file list."""

    version: str
    sha256: str
    key_id: str
    accepted_at_us: int
    size_bytes: int
    manifest: dict[str, Any]

    @property
    def thresholds(self) -> dict[str, float]:
        found: dict[str, float] = self.manifest.get("thresholds", {})
        return found

    def acceptance(self) -> Acceptance:
        return Acceptance(
            version=self.version,
            sha256=self.sha256,
            key_id=self.key_id,
            accepted_at_us=self.accepted_at_us,
        )


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The bytes as they were pushed."""

    raw: bytes
    signature: str


class Registry:
    """Reads and writes one registry directory; callers hold the write lock to write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pointer = root / "current_version.txt"
        self.ledger_path = root / "ledger.json"
        self._versions = root / "versions"
        self._revoked = RevokedMarks(root)
        self.ledger = Ledger()

    def open(self) -> None:
        """Read the ledger and tidy up after a process that was killed while writing."""
        self._versions.mkdir(parents=True, exist_ok=True)
        for leftover in (*self.root.glob(f"{TEMPORARY_PREFIX}*"), *self._leftover_directories()):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        self.ledger = self._revoked.applied_to(self._read_ledger())
        current = self.current()
        for version in sorted(self.stored() - set(self.ledger.accepted)):
            if version == current:
                self._adopt(version)
            else:
                # Its push was never answered with success.
                shutil.rmtree(self._versions / version)
        self._finish(current)

    def refresh(self) -> bool:
        """Read the ledger as it is now; whether it differs. An unreadable one changes nothing."""
        known = self.ledger
        with suppress(OSError, ValidationError):
            found = Ledger.model_validate_json(self.ledger_path.read_bytes())
            self.ledger = self._revoked.applied_to(found)
        return self.ledger != known

    def current(self) -> str | None:
        """What the pointer says; None when there is none or it is not a version."""
        try:
            text = self.pointer.read_text().strip()
            return str(Version.parse(text))
        except (OSError, ValueError):
            return None

    def stored(self) -> set[str]:
        """Versions whose bundles are on disk and may be served."""
        names = (path.parent.name for path in self._versions.glob(f"*/{BUNDLE}"))
        return {name for name in names if _is_version(name) and not self.ledger.is_revoked(name)}

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
        """The thresholds of a version; empty when its files are gone."""
        meta = self.meta(version)
        return {} if meta is None else meta.thresholds

    def store(self, meta: Meta, stored: StoredVersion) -> None:
        folder = self._versions / meta.version
        if folder.exists():
            shutil.rmtree(folder)
        files = {
            BUNDLE: stored.raw,
            SIGNATURE: stored.signature.strip().encode() + b"\n",
            META: meta.model_dump_json(indent=2).encode() + b"\n",
        }
        write_directory(folder, files)

    def activate(self, version: str, ledger: Ledger) -> None:
        """Point to a version and record it; when that fails the pointer goes back."""
        if ledger.is_revoked(version):
            raise ModelLoadError(f"version {version} is revoked")
        before = self.current()
        self.point_to(version)
        try:
            self.save(ledger)
        except OSError:
            with suppress(OSError):
                self.pointer.unlink() if before is None else self.point_to(before)
            raise

    def point_to(self, version: str) -> None:
        write_whole(self.pointer, version.encode() + b"\n")

    def save(self, ledger: Ledger) -> None:
        write_whole(self.ledger_path, ledger.model_dump_json(indent=2).encode() + b"\n")
        self.ledger = ledger

    def revoke(self, version: str, reason: str, now_us: int) -> None:
        """Never offer a version again; a cut in between leaves it revoked or as it was."""
        ledger = self.ledger.with_revocation(version, reason, now_us)
        self._revoked.write(ledger.accepted[version])
        self.save(ledger)
        shutil.rmtree(self._versions / version, ignore_errors=True)

    def prune(self, keep: set[str]) -> None:
        """Remove all but the newest versions and those named."""
        newest_first = sorted(self.stored(), key=Version.parse, reverse=True)
        for version in newest_first[KEEP_VERSIONS:]:
            if version not in keep:
                shutil.rmtree(self._versions / version)
                _log.info("version_removed", version=version)

    def _leftover_directories(self) -> list[Path]:
        return list(self._versions.glob(f"{TEMPORARY_PREFIX}*"))

    def _adopt(self, version: str) -> None:
        meta = self.meta(version)
        if meta is not None:
            accepted = self.ledger.with_accepted(meta.acceptance(), None)
            self.save(accepted.with_activation(version, meta.accepted_at_us))

    def _finish(self, current: str | None) -> None:
        """Record what the pointer says, if the ledger was cut off: also what was stepped back from.

        Otherwise a later rollback could return to the very version that was left.
        """
        ledger = self.ledger
        last = ledger.activations[-1].version if ledger.activations else None
        if current not in ledger.accepted or last in (None, current):
            return
        moved_at_us = self.pointer.stat().st_mtime_ns // 1_000
        if Version.parse(str(current)) < Version.parse(str(last)):
            ledger = ledger.with_rollback(str(last), "the record of why was cut off", moved_at_us)
        self.save(ledger.with_activation(str(current), moved_at_us))

    def _read_ledger(self) -> Ledger:
        try:
            return Ledger.model_validate_json(self.ledger_path.read_bytes())
        except FileNotFoundError:
            return Ledger()
        except (OSError, ValidationError) as error:
            # Without it a replay could pass, so what is on disk counts as accepted.
            _log.error("ledger_unreadable", error=str(error))
            return self._rebuilt_ledger()

    def _rebuilt_ledger(self) -> Ledger:
        ledger = Ledger()
        for meta in filter(None, map(self.meta, sorted(self.stored(), key=Version.parse))):
            accepted = ledger.with_accepted(meta.acceptance(), None)
            ledger = accepted.with_activation(meta.version, meta.accepted_at_us)
        return ledger


def _is_version(name: str) -> bool:
    try:
        Version.parse(name)
    except ValueError:
        return False
    return True
