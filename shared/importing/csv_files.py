"""A CSV file made ready for Arrow: text in UTF-8, only whole rows, quotes as Arrow reads them.

Nearly every file is ready as it is. Of any other a temporary copy is made.
"""

import codecs
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import numpy.typing as npt

from native.compiled import compiled
from shared.importing.foreign import refuse_foreign, refuse_preamble
from shared.importing.mapping import CsvRules, MappingError

# The layout of a CSV file: where its rows begin, and which lines are not rows.
#
# An unclosed quote would extend over every line up to the next quote. So a quoted text may
# contain a line break only where it is closed properly, before a delimiter or a line break;
# otherwise its first line is rejected, and reading continues with the next line.

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

OPEN_QUOTE = -1
_LF, _CR, _BACKSLASH = 10, 13, 92
_DELIMITER, _QUOTE, _ESCAPING = 0, 1, 2
_ROWS, _FIELDS, _LINES, _ESCAPES, _REMOVED, _BREAKS = range(6)
# A text over more lines than this is an unclosed quote.
_MAX_LINES = 1_000


@dataclass(frozen=True, slots=True)
class Removed:
    """A line of the file that is not a row of its table.

    Attributes:
        row: which row it would be, the first behind the header is 1.
        line: its line in the file, the header's is 1.
        begin, end: its bytes, the line's end among them.
        fields: how many it has; OPEN_QUOTE: a quote opens and never closes.
    """

    row: int
    line: int
    begin: int
    end: int
    fields: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The result of a scan.

    Attributes:
        rows: all after the header, the removed ones included.
        fields: how many the header has.
        breaks: rows (of all) whose line is not the one behind the row before, with their line.
        escapes: places of backslashes that stand in front of a quote inside a quoted text.
    """

    rows: int
    fields: int
    removed: tuple[Removed, ...]
    breaks: Numbers
    escapes: Numbers

    def lines_of(self, rows: Numbers) -> Numbers:
        """The lines of the file on which these rows begin."""
        at = np.searchsorted(self.breaks[:, 0], rows, side="right") - 1
        lines: Numbers = self.breaks[at, 1] + (rows - self.breaks[at, 0])
        return lines

    def kept(self, first: int, count: int) -> Numbers:
        """Numbers of `count` remaining rows, from the `first` of them (0) on."""
        gone = np.fromiter((row.row for row in self.removed), np.int64, len(self.removed))
        # the n-th remaining row has n remaining rows and the removed rows before it
        places = np.arange(first, first + count, dtype=np.int64)
        shift = np.searchsorted(gone - 1 - np.arange(len(gone)), places, side="right")
        return places + shift + 1


def scan(text: Bytes, delimiter: str, quote: str = '"') -> Layout:
    """Find the rows of a file in UTF-8 or another encoding in which ASCII stands for itself."""
    marks = np.array([ord(delimiter), ord(quote), 0], np.int64)
    escapes = np.empty(_pairs(text, marks[_QUOTE]), np.int64)
    plain = _scan(text, marks, escapes)
    if plain[0][_ESCAPES] == 0:
        return _layout(plain, escapes[:0])
    marks[_ESCAPING] = 1
    escaped = _scan(text, marks, escapes)
    found = escaped if len(escaped[1]) <= len(plain[1]) else plain
    return _layout(found, escapes[: escaped[0][_ESCAPES]] if found is escaped else escapes[:0])


def _layout(found: tuple[Numbers, Numbers, Numbers], escapes: Numbers) -> Layout:
    counts, removed, breaks = found
    lines = tuple(Removed(*(int(value) for value in line)) for line in removed)
    return Layout(int(counts[_ROWS]), int(counts[_FIELDS]), lines, breaks, escapes)


@compiled
def _scan(text: Bytes, marks: Numbers, escapes: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    removed, breaks = np.empty((16, 5), np.int64), np.empty((16, 2), np.int64)
    counts = np.zeros(6, np.int64)
    at, line, next_line = 0, 1, 0
    while at < len(text):
        if _ends_line(text[at]):
            at = _behind_line_end(text, at)
            line += 1
            continue
        escapes_before = counts[_ESCAPES]
        counts[_LINES] = 1
        end, fields = _record(text, at, marks, counts, escapes)
        if fields == OPEN_QUOTE:
            end, counts[_LINES], counts[_ESCAPES] = _behind_line(text, at), 1, escapes_before
        if counts[_FIELDS] == 0 and fields != OPEN_QUOTE:
            counts[_FIELDS] = fields
        else:
            counts[_ROWS] += 1
            if line != next_line:
                breaks = _appended(breaks, counts, _BREAKS)
                breaks[counts[_BREAKS] - 1] = np.array([counts[_ROWS], line])
            if fields != counts[_FIELDS]:
                removed = _appended(removed, counts, _REMOVED)
                removed[counts[_REMOVED] - 1] = np.array([counts[_ROWS], line, at, end, fields])
            next_line = line + 1
        line += counts[_LINES]
        at = end
    return counts, removed[: counts[_REMOVED]], breaks[: counts[_BREAKS]]


@compiled
def _record(
    text: Bytes, at: int, marks: Numbers, counts: Numbers, escapes: Numbers
) -> tuple[int, int]:
    """Behind the record's end, and its number of fields or OPEN_QUOTE."""
    fields = 1
    while True:
        if at < len(text) and text[at] == marks[_QUOTE]:
            at = _behind_quoted(text, at + 1, marks, counts, escapes)
            if at < 0:
                return at, OPEN_QUOTE
        while at < len(text) and text[at] != marks[_DELIMITER] and not _ends_line(text[at]):
            at += 1
        if at == len(text) or text[at] != marks[_DELIMITER]:
            return _behind_line_end(text, at), fields
        fields += 1
        at += 1


@compiled
def _behind_quoted(text: Bytes, at: int, marks: Numbers, counts: Numbers, escapes: Numbers) -> int:
    """The position after the closing quote; -1: there is none."""
    quote, first_line = marks[_QUOTE], counts[_LINES]
    while at < len(text) and counts[_LINES] <= first_line + _MAX_LINES:
        byte = text[at]
        follower = text[at + 1] if at + 1 < len(text) else _LF
        if byte == _BACKSLASH and follower == quote and marks[_ESCAPING]:
            escapes[counts[_ESCAPES]] = at
            counts[_ESCAPES] += 1
            at += 2
        elif byte == quote and follower == quote:
            at += 2
        elif byte == quote:
            if follower == marks[_DELIMITER] or _ends_line(follower):
                return at + 1
            # As Arrow reads "Joe's" Bar: the quote is closed, and the rest belongs to the text.
            # After a line break it is the first quote of another row.
            counts[_ESCAPES] += int(text[at - 1] == _BACKSLASH and not marks[_ESCAPING])
            return at + 1 if counts[_LINES] == first_line else -1
        elif _ends_line(byte):
            at = _behind_line_end(text, at)
            counts[_LINES] += 1
        else:
            at += 1
    return -1


@compiled
def _pairs(text: Bytes, quote: int) -> int:
    """The number of backslashes directly before a quote."""
    found = 0
    for at in range(len(text) - 1):
        found += int(text[at] == _BACKSLASH and text[at + 1] == quote)
    return found


@compiled
def _ends_line(byte: int) -> bool:
    return byte in (_LF, _CR)


@compiled
def _behind_line_end(text: Bytes, at: int) -> int:
    if at + 1 < len(text) and text[at] == _CR and text[at + 1] == _LF:
        return at + 2
    return min(at + 1, len(text))


@compiled
def _behind_line(text: Bytes, at: int) -> int:
    while at < len(text) and not _ends_line(text[at]):
        at += 1
    return _behind_line_end(text, at)


@compiled
def _appended(rows: Numbers, counts: Numbers, which: int) -> Numbers:
    """The rows with room for one more, which is counted."""
    counts[which] += 1
    if counts[which] <= len(rows):
        return rows
    larger = np.empty((len(rows) * 2, rows.shape[1]), np.int64)
    larger[: len(rows)] = rows
    return larger


_CHUNK_BYTES = 8 * 1024 * 1024
# a title and notes above a table are short
_SEARCHED_BYTES = 64 * 1024
# those of UTF-32 first: they begin like one of UTF-16
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class CsvText:
    """A file that Arrow can read.

    Attributes:
        path: the file itself, or its temporary copy.
        layout: of the text before rows were removed.
        refused: the removed lines with their text and what is wrong with each.
    """

    path: Path
    layout: Layout
    refused: tuple[tuple[Removed, str, str], ...]


@contextmanager
def csv_text(path: Path, rules: CsvRules, folder: Path) -> Iterator[CsvText]:
    """Make a file ready; copies go into `folder`.

    Raises:
        MappingError: it is not in the encoding that the mapping states, or its table begins below
            other lines.
        OSError: it cannot be read, or its copy not be written.
    """
    readable = _in_utf8(path, rules.encoding, folder)
    if readable.stat().st_size == 0:
        yield CsvText(readable, scan(np.empty(0, np.uint8), rules.delimiter), ())
        return
    text = np.memmap(readable, np.uint8, mode="r")
    layout = scan(text, rules.delimiter)
    longer = {row.line: row.fields for row in layout.removed if row.fields > layout.fields}
    beginning = text[:_SEARCHED_BYTES].tobytes()
    refuse_preamble(path.name, beginning, rules.delimiter, layout.rows, longer)
    refused = tuple(_told(text, row, layout.fields) for row in layout.removed)
    clean = readable
    if layout.removed or len(layout.escapes):
        clean = folder / f"{path.name}.clean"
        _write_clean(text, layout, clean)
    yield CsvText(clean, layout, refused)


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of a file states."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def _in_utf8(path: Path, encoding: str, folder: Path) -> Path:
    with path.open("rb") as file:
        head = file.read(8)
    name = codecs.lookup(marked_encoding(head) or encoding).name
    refuse_foreign(path.name, head, name)
    copy = None if name == "utf-8" else folder / f"{path.name}.utf8"
    writing: AbstractContextManager[TextIO | None] = nullcontext()
    if copy is not None:
        writing = copy.open("w", encoding="utf-8", newline="")
    with path.open("rb") as file, writing as target:
        _decode(file, path.name, name, target)
    return copy or path


def _decode(file: BinaryIO, file_name: str, encoding: str, target: TextIO | None) -> None:
    """Write the text to `target`, or only check that it can be decoded.

    Raises:
        MappingError: names the line of a byte that the encoding does not have.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, chunk = 0, b"."
    while chunk:
        chunk = file.read(_CHUNK_BYTES)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            line = lines + error.object[: error.start].count(b"\n") + 1
            other = "cp1252" if encoding == "utf-8" else "utf8"
            raise MappingError(
                f"{file_name} is not written in {encoding}: line {line} holds the byte "
                f'0x{error.object[error.start]:02x}; name its encoding, e.g. encoding = "{other}" '
                "under [csv]"
            ) from error
        except UnicodeError as error:  # as of UTF-16, whose mark is missing
            raise MappingError(
                f"{file_name} is not written in {encoding}: {error}; write e.g. "
                f'encoding = "{encoding}-le" under [csv]'
            ) from error
        if target is not None:
            target.write(text)
        lines += chunk.count(b"\n")


def _told(text: Bytes, row: Removed, fields: int) -> tuple[Removed, str, str]:
    line = text[row.begin : row.end].tobytes().decode("utf-8", "replace").rstrip("\r\n")
    if row.fields == OPEN_QUOTE:
        return row, line, "line holds a quote that opens and never closes"
    return row, line, f"line has {row.fields} fields instead of {fields}"


def _write_clean(text: Bytes, layout: Layout, path: Path) -> None:
    """The text without removed lines, and with quotes doubled where a backslash stood."""
    gone = [(row.begin, row.end) for row in layout.removed]
    kept = zip([0, *(end for _, end in gone)], [*(begin for begin, _ in gone), len(text)],
               strict=True)  # fmt: skip
    with path.open("wb") as file:
        for begin, end in kept:
            inside = layout.escapes[(layout.escapes >= begin) & (layout.escapes < end)]
            at = begin
            for escape in inside.tolist():
                file.write(text[at:escape].tobytes() + b'"')
                at = escape + 1
            while at < end:
                file.write(text[at : min(end, at + _CHUNK_BYTES)].tobytes())
                at += _CHUNK_BYTES
