"""The candidates on disk: one folder for each version; with STORE_URL in the store, too."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scheduler.cycle.shared_files import SharedFiles
from shared.bundle.version import Version
from shared.system.files import TEMPORARY_PREFIX, write_whole_within

BUNDLE, SIGNATURE, VERDICTS = "bundle.zip", "bundle.sig", "verdicts.json"
REPORT, NO_CANDIDATE = "report.html", "no_candidate"
ROLLOUT = "rollout.jsonl"
WRITTEN = frozenset({BUNDLE, SIGNATURE, VERDICTS, REPORT, ROLLOUT})


class CandidateStore:
    """`retrained_models/X.Y.Z/`: bundle, signature once promoted, verdicts, report.

    `shared`: the same files for schedulers on other hosts; what is missing here is read from there.
    """

    def __init__(self, root: Path, keep: int, shared: SharedFiles | None = None) -> None:
        self._root = root
        self._keep = keep
        self._shared = shared

    def save_bundle(self, version: Version, raw: bytes) -> None:
        self._save(f"{version}/{BUNDLE}", raw)

    def save_signature(self, version: Version, signature: str) -> None:
        self._save(f"{version}/{SIGNATURE}", f"{signature}\n".encode())

    def save_verdicts(self, version: Version, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, indent=2, sort_keys=True, allow_nan=False)
        self._save(f"{version}/{VERDICTS}", f"{text}\n".encode())

    def verdicts(self, version: Version) -> dict[str, Any] | None:
        """The saved verdicts of a candidate; None if no complete file is here."""
        try:
            raw = self._read(f"{version}/{VERDICTS}", changes=True)
            found = None if raw is None else json.loads(raw)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def report(self, version: Version) -> str | None:
        """The page of a candidate; None where it is not kept here."""
        try:
            raw = self._read(f"{version}/{REPORT}", changes=True)
        except OSError:
            return None
        return None if raw is None else raw.decode()

    def save_report(self, version: Version, html: str) -> None:
        self._save(f"{version}/{REPORT}", html.encode())

    def save_report_without_candidate(self, run_id: int, html: str) -> None:
        """Saves the report of a run refused before training; only the latest are kept."""
        folder = self._root / NO_CANDIDATE
        self._save(f"{NO_CANDIDATE}/run_{run_id}.html", html.encode())
        pages = sorted(folder.glob("run_*.html"), key=lambda path: path.stat().st_mtime_ns)
        for page in pages[: -self._keep]:
            page.unlink()

    def folder(self, version: Version) -> Path:
        """The folder of a version's files."""
        return self._root / str(version)

    def bundle(self, version: Version) -> bytes | None:
        """The bytes of a version's bundle, None when it is not kept here."""
        return self._read(f"{version}/{BUNDLE}")

    def versions(self) -> frozenset[Version]:
        """Versions that are kept here."""
        if not self._root.is_dir():
            return frozenset()
        found = (_version(path.name) for path in self._root.iterdir() if path.is_dir())
        return frozenset(version for version in found if version is not None)

    def prune(self, protected: frozenset[Version]) -> tuple[Version, ...]:
        """Delete all but the latest and the protected; returns what was deleted.

        A folder with files that no run writes is kept: it may hold a person's notes, or the setting
        may name the wrong folder, such as the registry's.
        """
        latest = sorted(self.versions(), key=self._packed_at, reverse=True)[: self._keep]
        surplus = sorted(filter(self._is_ours, self.versions() - set(latest) - protected))
        for version in surplus:
            shutil.rmtree(self._root / str(version))
        self._prune_shared(protected)
        return tuple(surplus)

    def _save(self, name: str, content: bytes) -> None:
        write_whole_within(self._root / name, content)
        if self._shared is not None:
            self._shared.put(name, content)

    def _read(self, name: str, *, changes: bool = False) -> bytes | None:
        """`changes`: another scheduler may have written it since, so the store's copy counts."""
        if changes and self._shared is not None:
            found = self._shared.get(name)
            if found is not None:
                return found
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None if self._shared is None else self._shared.get(name)

    def _prune_shared(self, protected: frozenset[Version]) -> None:
        """The same rule in the store, by the time of the last file of a version."""
        known = None if self._shared is None else self._shared.files()
        if self._shared is None or known is None:
            return
        latest: dict[Version, int] = {}
        files = [(_version(info.key.partition("/")[0]), info) for info in known]
        for version, info in files:
            if version is not None:
                latest[version] = max(latest.get(version, 0), info.modified_us)
        newest = sorted(latest, key=lambda version: (latest[version], version), reverse=True)
        kept = protected | set(newest[: self._keep])
        pages = sorted(info.key for version, info in files if version is None)
        surplus = [info.key for version, info in files if version and version not in kept]
        for name in (*surplus, *pages[: -self._keep]):
            self._shared.delete(name)
        self._shared.put_missing(self._root, self._names_of(kept), known)

    def _names_of(self, versions: frozenset[Version] | set[Version]) -> list[str]:
        """Files of these versions that are here, and are kept in the store as well."""
        return [
            f"{version}/{name}"
            for version in self.versions() & versions
            for name in WRITTEN - {ROLLOUT}
            if (self.folder(version) / name).is_file()
        ]

    def _is_ours(self, version: Version) -> bool:
        names = (path.name for path in self.folder(version).iterdir())
        return all(name in WRITTEN or name.startswith(TEMPORARY_PREFIX) for name in names)

    def _packed_at(self, version: Version) -> tuple[int, Version]:
        """Latest by time, not by number: a refused minor must not outlive later patches."""
        path = self._root / str(version) / BUNDLE
        return (path.stat().st_mtime_ns if path.exists() else 0, version)


def _version(name: str) -> Version | None:
    try:
        return Version.parse(name)
    except ValueError:
        return None
