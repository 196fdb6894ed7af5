"""Files that are no CSV, and tables that begin below a title: each is named with its remedy."""

import re
from collections import Counter
from collections.abc import Mapping

from shared.importing.mapping import MappingError

_FOREIGN = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive: save it as CSV, or end its name with .zip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV",
    b"\x1f\x8b": "compressed by gzip: end its name with .gz",
    b"SQLi": "a SQLite database: read its rows by a query",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard: unpack it, or pack it with gzip",
    b"BZh9": "compressed by bzip2: unpack it, or pack it with gzip",
    b"\xfd7zX": "compressed by xz: unpack it, or pack it with gzip",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"ARROW1": "an Arrow (Feather) file: save its rows as Parquet or CSV",
    b"Obj\x01": "an Avro file: save its rows as Parquet or CSV",
    b"\x89HDF": "an HDF5 file: save its rows as Parquet or CSV",
    b"\x80\x04\x95": "a pickle: save its rows as Parquet or CSV",
    b"\x80\x05\x95": "a pickle: save its rows as Parquet or CSV",
    b"%PDF": "a PDF document: export its table as CSV",
    b'{"': "JSON: save its rows as CSV or Parquet",
    b"[{": "JSON: save its rows as CSV or Parquet",
    **dict.fromkeys((b"<!", b"<?", b"<htm", b"<tab"), "HTML or XML: save its table as CSV"),
}
_NUMBER = re.compile(rb"[-+\d.,:/ ]+")
_DELIMITERS = (b",", b";", b"\t", b"|")


def refuse_foreign(file_name: str, head: bytes, encoding: str) -> None:
    """Refuse a file that begins as no text does.

    Raises:
        MappingError: says what it is and how its rows can be read.
    """
    foreign = next((what for mark, what in _FOREIGN.items() if head.startswith(mark)), None)
    if foreign is not None:
        raise MappingError(f"{file_name} is not a CSV file but {foreign}")
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise MappingError(
            f"{file_name} is not a CSV file: it begins with zero bytes, as a binary file does, or "
            "UTF-16 without a byte order mark; save it as CSV in UTF-8"
        )


def refuse_preamble(
    file_name: str, beginning: bytes, delimiter: str, rows: int, longer: Mapping[int, int]
) -> None:
    """Refuse a file whose first line is a title or a note above the table.

    `longer`: of the lines with more fields than the first one, how many they have.

    Raises:
        MappingError: names the line on which the table seems to begin.
    """
    lines = beginning.splitlines()
    if lines[0].startswith(b"sep=") and len(lines[0]) == len(b"sep=;"):
        raise MappingError(
            f"{file_name}: line 1 names Excel's delimiter, {lines[0].decode()!r}, and the table "
            "begins on line 2: delete line 1"
        )
    mark = delimiter.encode()
    _refuse_padded_title(file_name, lines, mark)
    if len(longer) * 2 <= rows or any(o in lines[0] for o in _DELIMITERS if o != mark):
        # with another delimiter in it rather a wrong one, which is told elsewhere
        return
    fields = Counter(longer.values()).most_common(1)[0][0]
    begin = next(line for line, found in longer.items() if found == fields)
    if mark in lines[0] and not _are_names(lines[begin - 1 : begin], mark):
        # the first line names columns, and lines have more fields than it
        return
    raise MappingError(
        f"{file_name}: line 1 has {lines[0].count(mark) + 1} of the {fields} fields that most "
        f"lines have; its table seems to begin on line {begin}: delete the lines above it"
    )


def _refuse_padded_title(file_name: str, lines: list[bytes], mark: bytes) -> None:
    """Refuse a title that a spreadsheet padded with delimiters to the width of the table."""
    if not _is_mostly_blank(lines[0], mark):
        return
    for number, line in enumerate(lines[1:], start=2):
        if line.strip() and not _is_mostly_blank(line, mark):
            raise MappingError(
                f"{file_name}: line 1 has a text in few of its {lines[0].count(mark) + 1} fields, "
                f"as a title has; its table seems to begin on line {number}: delete the lines "
                "above it"
            )


def _are_names(found: list[bytes], mark: bytes) -> bool:
    """True if a line has a text in every field and a number in none."""
    fields = [field.strip(b' "') for line in found for field in line.split(mark)]
    return bool(fields) and all(field and not _NUMBER.fullmatch(field) for field in fields)


def _is_mostly_blank(line: bytes, mark: bytes) -> bool:
    fields = line.split(mark)
    return len(fields) > 2 and sum(not field.strip(b' "') for field in fields) > len(fields) / 2
