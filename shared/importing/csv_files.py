"""A CSV file made ready for Arrow: text in UTF-8, only whole rows, quotes as Arrow reads them.

Nearly every file is ready as it is. Of any other a temporary copy is made.
"""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.importing.csv_scan import OPEN_QUOTE, Bytes, Layout, Removed, scan
from shared.importing.mapping import CsvRules, MappingError

_CHUNK_BYTES = 8 * 1024 * 1024
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


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
        MappingError: it is not in the encoding that the mapping states.
        OSError: it cannot be read, or its copy not be written.
    """
    readable = _in_utf8(path, rules.encoding, folder)
    if readable.stat().st_size == 0:
        yield CsvText(readable, scan(np.empty(0, np.uint8), rules.delimiter), ())
        return
    text = np.memmap(readable, np.uint8, mode="r")
    layout = scan(text, rules.delimiter)
    refused = tuple(_told(text, row, layout.fields) for row in layout.removed)
    clean = readable
    if layout.removed or len(layout.escapes):
        clean = folder / f"{path.name}.clean"
        _write_clean(text, layout, clean)
    yield CsvText(clean, layout, refused)


def _in_utf8(path: Path, encoding: str, folder: Path) -> Path:
    with path.open("rb") as file:
        head = file.read(4)
    found = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    name = codecs.lookup(found or encoding).name
    copy = None if name == "utf-8" else folder / f"{path.name}.utf8"
    decoder = codecs.getincrementaldecoder(name)()
    lines = 0
    target = copy.open("w", encoding="utf-8", newline="") if copy is not None else None
    try:
        with path.open("rb") as file:
            while True:
                chunk = file.read(_CHUNK_BYTES)
                text = decoder.decode(chunk, final=not chunk)
                if target is not None:
                    target.write(text)
                if not chunk:
                    break
                lines += chunk.count(b"\n")
    except UnicodeDecodeError as error:
        line = lines + error.object[: error.start].count(b"\n") + 1
        other = "cp1252" if name == "utf-8" else "utf8"
        raise MappingError(
            f"{path.name} is not written in {name}: line {line} holds the byte "
            f'0x{error.object[error.start]:02x}; name its encoding, e.g. encoding = "{other}" '
            "under [csv]"
        ) from error
    finally:
        if target is not None:
            target.close()
    return copy or path


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
