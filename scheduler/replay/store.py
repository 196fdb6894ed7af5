"""Finished rounds on disk: each a file that is renamed into place, so it is whole or not there."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from scheduler.cycle.candidates import BUNDLE
from scheduler.cycle.held_out import digest_path
from scheduler.replay.record import Round, from_json, to_json
from shared.bundle.archive import unpack
from shared.errors import BundleError
from shared.system.files import write_whole_within


class RoundStore:
    """`rounds/0001.json` and so on, each with its digest, beside the candidates they speak of."""

    def __init__(self, folder: Path, candidates: Path) -> None:
        self._folder = folder
        self._candidates = candidates

    def save(self, record: Round) -> None:
        path, content = self._path(record.span.number), to_json(record)
        digest = hashlib.sha256(content).hexdigest()
        write_whole_within(digest_path(path), f"{digest}  {path.name}\n".encode())
        write_whole_within(path, content)

    def finished(self, keys: Sequence[str]) -> list[Round]:
        """The first rounds of a plan, as far as they are there, whole and of these keys."""
        found: list[Round] = []
        for number, key in enumerate(keys, start=1):
            record = self._read(number)
            if record is None or record.key != key or not self._has_bundle(record):
                break
            found.append(record)
        return found

    def _read(self, number: int) -> Round | None:
        try:
            path = self._path(number)
            content, kept = path.read_bytes(), digest_path(path).read_text()
            is_whole = kept.split() == [hashlib.sha256(content).hexdigest(), path.name]
            return from_json(content) if is_whole else None
        except (OSError, ValueError):
            return None

    def _has_bundle(self, record: Round) -> bool:
        if record.bundle_sha256 is None:
            return True
        path = self._candidates / str(record.candidate) / BUNDLE
        try:
            return unpack(path.read_bytes()).sha256 == record.bundle_sha256
        except (OSError, BundleError):
            return False

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.json"
