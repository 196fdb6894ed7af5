"""Files of data for use cases that ship: made by rule, the same for one seed and one last day.

Every row is true on a day of the past; the label of a row becomes known some days later, so the
newest rows have none yet.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.clock import SystemClock, to_datetime

Integers = npt.NDArray[np.int64]
Make = Callable[[int, int, datetime | None], pl.DataFrame]
_Label = TypeVar("_Label")

DAYS = 300


class GeneratedDays:
    """Days of rows, oldest first, up to `until` (default: now)."""

    def __init__(self, random: np.random.Generator, rows: int, until: datetime | None) -> None:
        self._end = until or to_datetime(SystemClock().now_us())
        self.days_ago: Integers = np.sort(random.integers(0, DAYS, rows))[::-1]

    def dates(self) -> list[str]:
        """The day of each row."""
        return [self._date(int(days)) for days in self.days_ago]

    def dates_before(self, days: Iterable[int], there: Iterable[bool]) -> list[str | None]:
        """Dates this many days before the day of each row; None for rows without one."""
        return [
            self._date(int(ago) + int(earlier)) if is_there else None
            for ago, earlier, is_there in zip(self.days_ago, days, there, strict=True)
        ]

    def known(self, labels: Sequence[_Label], delay_days: int) -> list[_Label | None]:
        """The labels that had time to become known."""
        return [
            label if days >= delay_days else None
            for label, days in zip(labels, self.days_ago, strict=True)
        ]

    def _date(self, days_ago: int) -> str:
        return (self._end - timedelta(days=days_ago)).strftime("%Y-%m-%d")


def entities(random: np.random.Generator, prefix: str, rows: int) -> list[str]:
    """Names of which each comes about three times."""
    return [f"{prefix}{number:06}" for number in random.integers(0, rows // 3 + 1, rows)]


@dataclass(frozen=True, slots=True)
class Generated:
    """A file beside a declaration and the rule that makes it: rows, seed, last day."""

    file: Path
    make: Make

    def write(self, rows: int = 20_000, seed: int = 1) -> None:
        """Write the file and say so."""
        self.make(rows, seed, None).write_csv(self.file)
        sys.stdout.write(f"{rows:,} rows in {self.file}\n")
