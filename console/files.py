"""Files on disk: the registry, the candidates with their reports, and the drift reports.

Only files that services wrote are read, by names that are checked first, and never more of one than
a page needs.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.bundle.version import Version
from shared.contracts.http import parse_if_agreed
from shared.contracts.people import AuditLine
from shared.errors import DataUnavailable

MAX_JSON_BYTES = 8 * 1024 * 1024
_TAIL_BYTES = 2 * 1024 * 1024
_REPLAY = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}", re.ASCII)
_DRIFT_PAGE = re.compile(r"drift_run_[0-9]{1,16}\.html", re.ASCII)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class AcceptedVersion(_Record):
    """A version that was accepted, as the registry's ledger has it."""

    version: str
    sha256: str
    key_id: str
    accepted_at_us: int
    rolled_back_at_us: int | None = None
    rolled_back_reason: str | None = None
    revoked_at_us: int | None = None
    revoked_reason: str | None = None


class ServicePeriod(_Record):
    """One time that a version was in service."""

    version: str
    activated_at_us: int
    served_well_at_us: int | None = None
    left_at_us: int | None = None
    ended: str | None = None


class LedgerView(_Record):
    """Every version ever accepted, and the last times in service, oldest first."""

    accepted: dict[str, AcceptedVersion] = Field(default_factory=dict)
    activations: tuple[ServicePeriod, ...] = ()


class StoredManifest(_Record):
    """Members of a stored manifest that pages show."""

    use_case: str = ""
    created_at: str = ""
    description: str = ""
    components: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    feature_set_version: str = ""
    thresholds: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    metric_intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    training_data: dict[str, Any] = Field(default_factory=dict)
    frameworks: dict[str, str] = Field(default_factory=dict)
    parent_version: str | None = None


class VersionMeta(_Record):
    """Beside each bundle: how it came here, and its manifest."""

    version: str
    sha256: str
    key_id: str
    accepted_at_us: int
    size_bytes: int
    manifest: StoredManifest


@dataclass(frozen=True, slots=True)
class TrailEnd:
    """The newest lines of the audit trail, newest first."""

    lines: tuple[AuditLine, ...]
    is_whole_file: bool


class ModelFiles:
    """Reads below four folders."""

    def __init__(
        self,
        prod_models: Path,
        retrained_models: Path,
        drift_reports: Path,
        replays: Path | None = None,
    ) -> None:
        self._replays = replays
        self._registry = prod_models
        self._candidates = retrained_models
        self._drift = drift_reports

    @property
    def audit_path(self) -> Path:
        return self._registry / "audit.jsonl"

    def candidate_folder(self, version: str) -> Path:
        """The folder of a candidate's files."""
        return self._candidates / _checked(version)

    def ledger(self) -> LedgerView:
        """The ledger; empty before the first version.

        Raises:
            DataUnavailable: it is damaged or cannot be read.
        """
        raw = _read(self._registry / "ledger.json", MAX_JSON_BYTES)
        if raw is None:
            return LedgerView()
        found = parse_if_agreed(LedgerView, raw)
        if found is None:
            raise DataUnavailable("ledger.json of the registry cannot be read")
        return found

    def current_version(self) -> str | None:
        """The live version; None: there is none yet."""
        raw = _read(self._registry / "current_version.txt", 1_024)
        try:
            text = (raw or b"").decode("ascii", "replace").strip()
            return str(Version.parse(text))
        except ValueError:
            return None

    def meta(self, version: str) -> VersionMeta | None:
        """Metadata of a version whose files are kept."""
        folder = self._registry / "versions" / _checked(version)
        raw = _read(folder / "meta.json", MAX_JSON_BYTES)
        return None if raw is None else parse_if_agreed(VersionMeta, raw)

    def stored_versions(self) -> tuple[str, ...]:
        """Versions whose files are kept in the registry."""
        names = (path.parent.name for path in (self._registry / "versions").glob("*/bundle.zip"))
        return tuple(name for name in names if _is_version(name))

    def candidates(self) -> tuple[str, ...]:
        """Versions of the candidates that are kept."""
        if not self._candidates.is_dir():
            return ()
        names = (path.name for path in self._candidates.iterdir() if path.is_dir())
        return tuple(name for name in names if _is_version(name))

    def report_of_candidate(self, version: str) -> Path | None:
        """The page of a candidate, if there is one."""
        return _file(self._candidates, _checked(version), "report.html")

    def report_without_candidate(self, run_id: int) -> Path | None:
        """The page of a run that was refused before anything was trained."""
        return _file(self._candidates, "no_candidate", f"run_{int(run_id)}.html")

    def drift_report(self, name: str) -> Path | None:
        """The page of a drift check."""
        if _DRIFT_PAGE.fullmatch(name) is None:
            return None
        return _file(self._drift, name)

    def replay_report(self, name: str) -> Path | None:
        """The page of a replay, by the name of its folder."""
        if self._replays is None or _REPLAY.fullmatch(name) is None:
            return None
        return _file(self._replays, name, "replay.html")

    def replays(self, limit: int) -> list[dict[str, Any]]:
        """Summaries of finished replays, the newest first, each with the name of its folder."""
        if self._replays is None or not self._replays.is_dir():
            return []
        found = [path for path in self._replays.glob("**/summary.json") if not path.is_symlink()]
        found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        told = []
        for path in found[:limit]:
            summary = next(_json_lines((_read(path, MAX_JSON_BYTES) or b"").strip()), None)
            if summary is not None:
                told.append({**summary, "name": path.parent.name})
        return told

    def rollout_lines(self, version: str, limit: int) -> list[dict[str, Any]]:
        """The last decisions about the rollout of a version, oldest first."""
        return list(_json_lines(_tail(self.candidate_folder(version) / "rollout.jsonl")))[-limit:]

    def trail(self, limit: int) -> TrailEnd:
        """The end of the audit trail.

        Raises:
            OSError: it cannot be read.
        """
        raw = _tail(self.audit_path)
        is_whole = len(raw) < _TAIL_BYTES
        parsed = (parse_if_agreed(AuditLine, line) for line in reversed(raw.splitlines()))
        lines = tuple(line for line in parsed if line is not None)
        return TrailEnd(lines[:limit], is_whole and len(lines) <= limit)


def _checked(version: str) -> str:
    """The version, which becomes part of a path.

    Raises:
        DataUnavailable: the text is not a version.
    """
    if not _is_version(version):
        raise DataUnavailable(f"{version[:40]!r} is not a version: write MAJOR.MINOR.PATCH")
    return version


def _is_version(text: str) -> bool:
    try:
        return str(Version.parse(text)) == text
    except ValueError:
        return False


def _file(root: Path, *names: str) -> Path | None:
    """A file below a folder; never through a symbolic link: other services write there."""
    path = root
    for name in names:
        path = path / name
        if path.is_symlink():
            return None
    return path if path.is_file() else None


def _read(path: Path, most_bytes: int) -> bytes | None:
    """The content; None: there is no such file."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except FileNotFoundError:
        return None
    if len(raw) > most_bytes:
        raise DataUnavailable(f"{path.name} is larger than {most_bytes:,} bytes")
    return raw


def _tail(path: Path) -> bytes:
    """The last lines of a file, whole ones; empty: there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            raw = file.read(_TAIL_BYTES)
    except FileNotFoundError:
        return b""
    return raw if size <= _TAIL_BYTES else raw.partition(b"\n")[2]


def _json_lines(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
