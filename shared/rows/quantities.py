"""Quantities as people write them in usecase.toml: durations, shares, margins and slices."""

import re
from dataclasses import dataclass
from typing import Any

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.importing.mapping import within_a_century
from shared.tasks import Margin

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS_US = {
    "s": MICROS_PER_SECOND,
    "m": 60 * MICROS_PER_SECOND,
    "h": MICROS_PER_HOUR,
    "d": MICROS_PER_DAY,
    "w": 7 * MICROS_PER_DAY,
}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_SLICE = re.compile(r"([a-z][a-z0-9_]*)(?:\s*/\s*(\d+))?")
MOST_SLICE_PARTS = 20


@dataclass(frozen=True, slots=True)
class SliceRule:
    """A column whose words are slices, or whose quantiles cut it into this many."""

    column: str
    parts: int | None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The newest rows for this long, or this share of the entities by chance."""

    duration_us: int | None
    share: float | None


def parse_duration(written: Any) -> int:
    """Microseconds of "30d".

    Raises:
        ValueError: says how to write it.
    """
    found = _DURATION.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        raise ValueError('write a number and s, m, h, d or w, e.g. "30d"')
    return within_a_century(float(found[1]) * _UNITS_US[found[2]])


def parse_margin(written: Any) -> Margin:
    """`0.01` is absolute, `"2 %"` relative.

    Raises:
        ValueError: says how to write it.
    """
    if isinstance(written, int | float) and not isinstance(written, bool) and 0 <= written < 1e30:
        return Margin(float(written), is_relative=False)
    share = _share(written)
    if share is None or share >= 1:
        raise ValueError('write a number (absolute) or a share below 100 % such as "2 %"')
    return Margin(share, is_relative=True)


def parse_held_out(written: Any) -> HeldOut:
    """A duration, or a share of the entities.

    Raises:
        ValueError: says how to write it.
    """
    share = _share(written)
    if share is None:
        try:
            return HeldOut(parse_duration(written), None)
        except ValueError as error:
            raise ValueError('write a duration such as "60d", or a share such as "20 %"') from error
    if not 0 < share <= 0.5:
        raise ValueError("hold out more than 0 % and at most 50 %")
    return HeldOut(None, share)


def parse_slice(written: Any) -> SliceRule:
    """`"region"`, or `"age_years / 4"`.

    Raises:
        ValueError: says how to write it.
    """
    found = _SLICE.fullmatch(written.strip()) if isinstance(written, str) else None
    parts = int(found[2]) if found and found[2] else None
    if found is None or (parts is not None and not 2 <= parts <= MOST_SLICE_PARTS):
        raise ValueError(
            f"write a column, or a column and how many parts (2 to {MOST_SLICE_PARTS}), "
            'e.g. "age_years / 4"'
        )
    return SliceRule(found[1], parts)


def _share(written: Any) -> float | None:
    found = _SHARE.fullmatch(written.strip()) if isinstance(written, str) else None
    return float(found[1]) / 100 if found else None
