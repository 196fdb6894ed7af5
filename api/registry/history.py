"""Sources of a lost ledger: the audit trail, read leniently, and marks of revoked versions.

An intact ledger contains the same as the marks, which are one small file each. When it has to be
rebuilt from the files on disk, they keep a revoked version from being served again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from api.registry.ledger import Acceptance, Ending, Ledger
from shared.bundle.version import Version
from shared.clock import to_micros
from shared.system.files import write_whole

# Actions after which `version` is live.
_TAKEN_INTO_SERVICE = frozenset(
    {"promotion", "rollback", "breaker", "crash", "hand-change", "mirrored"}
)
# Actions that end the service of `previous` for a fault of its own.
_LEFT = {
    "rollback": Ending.ROLLED_BACK,
    "breaker": Ending.ROLLED_BACK,
    "crash": Ending.CRASHED,
}
_log = structlog.get_logger()
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class VersionAuditLine:
    """One line of the trail that is about a version."""

    at_us: int
    what: str
    why: str
    version: str
    members: dict[str, Any] = field(default_factory=dict)

    @property
    def previous(self) -> str | None:
        return _version(self.members.get("previous"))

    @property
    def takes_into_service(self) -> bool:
        return self.what in _TAKEN_INTO_SERVICE

    def applied_to(self, ledger: Ledger) -> Ledger:
        """The ledger after the change in this line."""
        if self.what == "promotion":
            ledger = ledger.with_accepted(self._acceptance(ledger), _number(self.members))
        if self.what in _LEFT and self.previous is not None and self.members.get("blamed", True):
            ledger = ledger.with_rollback(self.previous, self.why, self.at_us, _LEFT[self.what])
        if self.version not in ledger.accepted:
            return ledger
        if self.what == "revocation":
            return ledger.with_revocation(self.version, self.why, self.at_us)
        if self.what == "rollout-ended" and self.members.get("outcome") != "promoted":
            return ledger.with_rollback(self.version, self.why, self.at_us)
        if not self.takes_into_service:
            return ledger
        if self.what == "hand-change":
            return ledger.with_hand_change(self.version, self.at_us)
        return ledger.with_activation(self.version, self.at_us)

    def _acceptance(self, ledger: Ledger) -> Acceptance:
        """A promotion at the end of a rollout is of a version that was accepted before."""
        known = ledger.accepted.get(self.version)
        sha256, key_id = self.members.get("sha256"), self.members.get("key_id")
        if known is not None and sha256 in (None, known.sha256):
            return known
        return Acceptance(
            version=self.version,
            sha256=str(sha256),
            key_id=str(key_id),
            accepted_at_us=self.at_us,
        )


def audit_lines(path: Path) -> Iterator[VersionAuditLine]:
    """Lines about versions, in their order; what cannot be read is omitted."""
    try:
        raw = path.read_bytes()
    except OSError:
        return
    for text in raw.splitlines():
        try:
            members = json.loads(text)
            version = _version(members.get("version"))
            at_us = to_micros(datetime.fromisoformat(members["at"]))
            what, why = str(members["what"]), str(members.get("why", ""))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        if version is not None and at_us >= 0:
            yield VersionAuditLine(at_us, what, why, version, members)


def retold(ledger: Ledger, lines: Iterator[VersionAuditLine]) -> Ledger:
    """The ledger after all lines; one that makes no sense is omitted."""
    for line in lines:
        try:
            ledger = line.applied_to(ledger)
        except (ValidationError, ValueError):
            continue
    return ledger


def rebuilt(
    saved: Ledger,
    lines: Sequence[VersionAuditLine],
    on_disk: Iterable[Acceptance],
    declared_us: int,
) -> Ledger:
    """A ledger from what was saved of it, the audit trail and what lies on disk.

    Without the ledger a replay could pass, so what is on disk counts as accepted.
    """
    ledger, names = saved.model_copy(update={"activations": ()}), []
    for acceptance in on_disk:
        names.append(acceptance.version)
        if acceptance.version not in ledger.accepted:
            ledger = ledger.with_accepted(acceptance, None)
    ledger = retold(ledger, iter(lines)).with_times_trusted(declared_us)
    if saved.activations:
        # The saved ledger records when a version served well; the trail does not.
        last_us = saved.activations[-1].activated_at_us
        after = (a for a in ledger.activations if a.activated_at_us > last_us)
        ledger = ledger.model_copy(update={"activations": (*saved.activations, *after)})
    on_trial = {line.version for line in lines if line.what == "rollout-begun"}
    for version in names:
        if version not in on_trial:
            ledger = ledger.with_earlier_activation(version)
    return ledger


def _version(value: object) -> str | None:
    try:
        return str(Version.parse(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(members: dict[str, Any]) -> int | None:
    number = members.get("fencing_number")
    return number if isinstance(number, int) and number >= 0 else None


class RevokedMarks:
    """`revoked/X.Y.Z.json` in the registry."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "revoked"

    def write(self, acceptance: Acceptance) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{acceptance.version}{_SUFFIX}"
        write_whole(path, acceptance.model_dump_json(indent=2).encode() + b"\n")

    def applied_to(self, ledger: Ledger) -> Ledger:
        """The ledger, and in it every version that was ever revoked."""
        for acceptance in self._read():
            if not ledger.is_revoked(acceptance.version):
                ledger = ledger.with_accepted(acceptance, None)
        return ledger

    def _read(self) -> Iterator[Acceptance]:
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                yield Acceptance.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                _log.error("revocation_unreadable", file=path.name, error=str(error))
                acceptance = _by_name(path)
                if acceptance is not None:
                    yield acceptance


def _by_name(path: Path) -> Acceptance | None:
    """A damaged mark still says which version it is about."""
    version = _version(path.name.removesuffix(_SUFFIX))
    if version is None:
        return None
    return Acceptance(version=version, sha256="", key_id="", accepted_at_us=0, revoked_at_us=0)
