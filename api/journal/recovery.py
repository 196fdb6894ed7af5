"""Recovery at start-up: inspects a journal, and finds where draining and writing continue.

Four rules keep what is acknowledged from then on:
- Writing begins in a new segment, behind every segment there is and behind the saved position, so
  that no new record can lie before a position.
- The saved position counts only if it fits: its checksum holds, its segment is there and a record
  ends just there (or it is the place of the next segment). If not, draining begins at the oldest
  segment: twice is harmless.
- Damage costs the records that it hit. They are copied beside the journal before their segment
  is removed.
- An unreadable file does not stop the start. It is moved aside, reported, and tried again at the
next one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from api.journal.frames import Region, read_frames
from api.journal.segments import Checkpoint, Position, segment_numbers, segment_path, taken_numbers
from shared.system.files import sync_directory, sync_file

_log = structlog.get_logger()
UNREADABLE = ".unreadable"
DefectKind = Literal["torn", "damaged", "missing", "unreadable"]
_COPIES = ("*.damaged", f"*{UNREADABLE}")
# A longer region is not a damaged part of a journal, but a different file in its place.
_MOST_COPIED_BYTES = 64 * 1024 * 1024
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of the journal: bytes that are not as they were written.

    Attributes:
        region: where, if it is a part of a segment.
    """

    kind: DefectKind
    segment: int
    region: Region | None = None


@dataclass(slots=True)
class Recovered:
    """The content of a journal, and the positions to continue from.

    Attributes:
        sizes: bytes of each segment.
        drained: where draining continues.
        end: where writing continues, in a segment that does not exist yet.
        backlog: records between the two.
    """

    sizes: dict[int, int] = field(default_factory=dict)
    drained: Position = field(default_factory=lambda: Position(0, 0))
    end: Position = field(default_factory=lambda: Position(1, 0))
    backlog: int = 0
    defects: list[Defect] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scan:
    """The content of one segment: where its records end, and its damaged parts."""

    size: int
    ends: list[int]
    damage: list[Region]

    def behind(self, offset: int) -> int:
        return sum(end > offset for end in self.ends)


def recover(directory: Path, checkpoint: Checkpoint) -> Recovered:
    """Read everything; changes nothing but the names of files that could not or can be read."""
    saved = checkpoint.load()
    _take_back(directory, saved)
    found = Recovered()
    scans = _scan_all(directory, found)
    found.sizes = {number: scan.size for number, scan in scans.items()}
    found.end = Position(_next_number(directory, saved), 0)
    if saved is not None and _fits(saved, scans):
        found.drained = saved
    else:
        found.drained = Position(min(scans), 0) if scans else found.end
        if scans:
            why = "does not fit the segments" if saved else "is missing or damaged"
            _log.warning("journal_drains_from_oldest_segment", position=why, segments=len(scans))
    found.backlog = sum(
        scan.behind(found.drained.offset if number == found.drained.segment else 0)
        for number, scan in scans.items()
        if number >= found.drained.segment
    )
    first = found.drained.segment if saved is None else min(saved.segment, found.drained.segment)
    found.defects += _missing(directory, first, sorted(scans))
    return found


def _fits(position: Position, scans: dict[int, _Scan]) -> bool:
    scan = scans.get(position.segment)
    if scan is None:
        # Every record was drained, and the next segment does not exist yet.
        return position.offset == 0 and position.segment > max(scans, default=-1)
    return position.offset == 0 or position.offset in scan.ends


def _next_number(directory: Path, saved: Position | None) -> int:
    last = max(taken_numbers(directory), default=0)
    if saved is None:
        return last + 1
    # A checkpoint at offset 0 of a missing segment: that segment had not been created yet.
    return max(last + 1, saved.segment + (saved.offset > 0))


def _scan_all(directory: Path, found: Recovered) -> dict[int, _Scan]:
    scans: dict[int, _Scan] = {}
    for number in segment_numbers(directory):
        path = segment_path(directory, number)
        try:
            scans[number] = _scan(path)
        except OSError as error:
            _log.error("journal_segment_unreadable", segment=path.name, error=str(error))
            path.rename(path.with_suffix(UNREADABLE))
            found.defects.append(Defect("unreadable", number))
            continue
        found.defects += [Defect(part.kind, number, part) for part in scans[number].damage]
    for number in set(taken_numbers(directory)) - scans.keys():
        _log.error("journal_segment_is_no_file", segment=segment_path(directory, number).name)
        found.defects.append(Defect("unreadable", number))
    return scans


def _scan(path: Path) -> _Scan:
    ends: list[int] = []
    damage: list[Region] = []
    for chunk in read_frames(path, 0):
        ends += [end for _, end in chunk.frames]
        if chunk.damage is not None:
            damage.append(chunk.damage)
    return _Scan(path.stat().st_size, ends, damage)


def _take_back(directory: Path, saved: Position | None) -> None:
    """Segments that could not be read at an earlier start become the newest ones if they can."""
    for path in sorted(directory.glob(f"*{UNREADABLE}")):
        if not (path.is_file() and path.stem.isdecimal()):
            continue
        try:
            _scan(path)
        except OSError:
            continue
        again = segment_path(directory, int(path.stem))
        if again.exists() or (saved is not None and int(path.stem) <= saved.segment):
            again = segment_path(directory, _next_number(directory, saved))
        path.rename(again)
        _log.info("journal_segment_readable_again", segment=path.name, becomes=again.name)


def _missing(directory: Path, first: int, numbers: Sequence[int]) -> list[Defect]:
    """Gaps between the first segment that was not drained and the last, each by its first number.

    A gap may be as wide as a file with an unusual number makes it.
    """
    expected, gaps = first, []
    for number in numbers:
        if number > expected and not _is_accounted_for(directory, expected):
            gaps.append(Defect("missing", expected))
        expected = max(expected, number + 1)
    return gaps


def _is_accounted_for(directory: Path, number: int) -> bool:
    path = segment_path(directory, number)
    return path.exists() or path.with_suffix(UNREADABLE).exists()


class DamageLog:
    """The defects of one journal, with copies of the damaged bytes.

    A torn tail is copied too, and is not damage: it was being written when the process or the
    machine stopped.
    """

    def __init__(self, directory: Path, tell: Tell) -> None:
        """`tell` is called once for each defect, with its kind."""
        self._directory = directory
        self._tell = tell
        self._known: set[Defect] = set()
        # Unreadable segments: renamed and kept whole instead of copied.
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
        """Written records are lost; their positions are unknown."""
        self.missing += records
        self._tell("missing")
        _log.error("journal_records_missing", records=records)

    def copies(self) -> int:
        """The number of damaged pieces that wait in the folder for inspection."""
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
        log = _log.warning if region.kind == "torn" else _log.error
        log(
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
