"""The file of rejected rows: as they came, with their number and the reasons."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import polars as pl

from shared.errors import DataUnavailable
from shared.system.named_files import NamedFile

OPTION = "--rejected"
_FIRST = ["row", "line", "reason"]
# Headers of this release, and of those before line numbers were written.
_HEADS = (b"row,line,reason", b"row,reason,")


def is_rejects_file(head: bytes) -> bool:
    """True if an import made a file that begins like this."""
    return head.startswith(_HEADS)


class RejectsFile:
    """Appears only when a row is rejected; its place is tried before the first row is read.

    An earlier file is kept under a number: a person may have corrected rows in it.
    """

    def __init__(
        self,
        path: Path,
        sources: tuple[str, ...],
        reasons: Counter[str],
        reads: Iterable[Path] = (),
    ) -> None:
        self._named = NamedFile(path, OPTION, is_rejects_file, reads=reads, keep_earlier=True)
        self._header = [*_FIRST, *sources]
        self._reasons = reasons
        self._has_header = False

    def __enter__(self) -> Self:
        """Raises PlaceRefused when nothing could be written there."""
        self._named.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._named.__exit__(kind, error, trace)

    def add_rows(self, rejected: pl.DataFrame) -> None:
        """Add rows that begin with the columns `row`, `line` and `reason`.

        Raises:
            DataUnavailable: the disk takes no more of them.
        """
        if rejected.is_empty():
            return
        try:
            rejected.write_csv(self._opened(), include_header=False)
        except OSError as error:
            raise self._full(error) from error
        for reasons in rejected["reason"].to_list():
            self._reasons.update(reasons.split("; "))

    def add_line(self, row: int, line: int, text: str, wrong: str) -> None:
        """Add a line that is not a row of its table.

        Raises:
            DataUnavailable: the disk takes no more of them.
        """
        cells: list[Any] = [row, line, wrong, text]
        try:
            csv.writer(self._opened(), lineterminator="\n").writerow(cells)
        except OSError as error:
            raise self._full(error) from error
        self._reasons[wrong] += 1

    def _opened(self) -> IO[str]:
        file = self._named.text
        if not self._has_header:
            csv.writer(file, lineterminator="\n").writerow(self._header)
            self._has_header = True
        return file

    def _full(self, error: OSError) -> DataUnavailable:
        return DataUnavailable(
            f"{OPTION}: rejected rows cannot be written to {self._named.path} ({error.strerror}); "
            "rows before them are imported: make room and import again"
        )
