"""Marks of revoked versions: one small file each, beside a ledger that could be lost.

An intact ledger contains the same. When it has to be rebuilt from the files on disk, these marks
keep a revoked version from being served again.
"""

from collections.abc import Iterator
from pathlib import Path

import structlog
from pydantic import ValidationError

from api.registry.ledger import Acceptance, Ledger
from shared.bundle.version import Version
from shared.system.files import write_whole

_log = structlog.get_logger()
_SUFFIX = ".json"


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
    try:
        version = str(Version.parse(path.name.removesuffix(_SUFFIX)))
    except ValueError:
        return None
    return Acceptance(version=version, sha256="", key_id="", accepted_at_us=0, revoked_at_us=0)
