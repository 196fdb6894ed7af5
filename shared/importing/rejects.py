"""The file of rejected rows: as they came, with their number and the reasons."""

import csv
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import polars as pl


class RejectsFile:
    """Made only when a row is rejected; an old one of that name is removed at the start."""

    def __init__(self, path: Path, sources: tuple[str, ...], reasons: Counter[str]) -> None:
        self._path = path
        self._header = ["row", "line", "reason", *sources]
        self._reasons = reasons
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add_rows(self, rejected: pl.DataFrame) -> None:
        """Add rows that begin with the columns `row`, `line` and `reason`."""
        if rejected.is_empty():
            return
        file = self._opened()
        rejected.write_csv(file, include_header=False)
        for reasons in rejected["reason"].to_list():
            self._reasons.update(reasons.split("; "))

    def add_line(self, row: int, line: int, text: str, wrong: str) -> None:
        """Add a line that is no row of its table."""
        self._reasons[wrong] += 1
        cells: list[Any] = [row, line, wrong, text]
        csv.writer(self._opened(), lineterminator="\n").writerow(cells)

    def _opened(self) -> IO[str]:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file, lineterminator="\n").writerow(self._header)
        return self._file
