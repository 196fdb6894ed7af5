"""Damage that was found in a journal: copied, counted and told once."""

from collections.abc import Callable
from pathlib import Path

import structlog

from api.journal.frames import Region
from api.journal.recovery import UNREADABLE, Defect
from api.journal.segments import segment_path
from shared.system.files import sync_directory, sync_file

_log = structlog.get_logger()
_COPIES = ("*.damaged", f"*{UNREADABLE}")
# Anything longer is no part of a journal that was damaged, but something else in its place.
_MOST_COPIED_BYTES = 64 * 1024 * 1024
Tell = Callable[[str], None]


class DamageLog:
    """What is wrong with one journal, and copies of the bytes that are no record.

    A torn tail is copied too, and is no damage: it was being written when the process or the
    machine stopped.
    """

    def __init__(self, directory: Path, tell: Tell) -> None:
        """`tell` is called with the kind of each finding, once."""
        self._directory = directory
        self._tell = tell
        self._known: set[Defect] = set()
        # Instead of a copy these are kept as a whole, under another name.
        self._kept_whole: dict[int, str] = {}
        self.missing = 0

    def found(self, defect: Defect) -> None:
        if defect in self._known:
            return
        self._known.add(defect)
        self._tell(defect.kind)
        if defect.kind == "missing":
            self.missing += 1
            _log.error("journal_segment_missing", segment=defect.segment)
        if defect.region is not None:
            self._keep(defect.segment, defect.region)

    def lost(self, records: int) -> None:
        """Records that were written are not there any more, and nobody knows where they lay."""
        self.missing += records
        self._tell("missing")
        _log.error("journal_records_missing", records=records)

    def copies(self) -> int:
        """How many pieces wait in the folder for a person."""
        return self.copies_in(self._directory)

    @staticmethod
    def copies_in(directory: Path) -> int:
        return sum(1 for pattern in _COPIES for _ in directory.glob(pattern))

    def remove(self, segment: int) -> None:
        """Remove a drained segment, unless it is the only copy of something damaged."""
        path = segment_path(self._directory, segment)
        if segment in self._kept_whole and path.exists():
            path.rename(path.with_suffix(self._kept_whole[segment]))
        else:
            path.unlink(missing_ok=True)

    def _keep(self, segment: int, region: Region) -> None:
        path = segment_path(self._directory, segment)
        told = _log.warning if region.kind == "torn" else _log.error
        told(
            f"journal_{region.kind}",
            segment=path.name,
            begin=region.begin,
            end=region.end,
        )
        if region.kind == "unreadable":
            self._kept_whole[segment] = UNREADABLE
            return
        if region.end - region.begin > _MOST_COPIED_BYTES:
            self._kept_whole.setdefault(segment, ".damaged")
            return
        try:
            _copy(path, region)
        except OSError as error:
            self._kept_whole.setdefault(segment, ".damaged")
            _log.error("journal_damage_not_copied", segment=path.name, error=str(error))


def _copy(path: Path, region: Region) -> None:
    target = path.with_name(f"{path.stem}-{region.begin}.{region.kind}")
    if target.exists():
        return
    with path.open("rb") as source:
        source.seek(region.begin)
        content = source.read(region.end - region.begin)
    if not content.strip(b"\x00"):
        return
    with target.open("xb") as file:
        file.write(content)
        file.flush()
        sync_file(file.fileno())
    sync_directory(target.parent)
