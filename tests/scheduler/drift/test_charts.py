"""Axis labels of the drift page can be read: plain numbers, and names that do not overlap."""

import re

import numpy as np

from scheduler.drift.bins import Bins, ColumnKind
from scheduler.drift.check import ColumnDrift
from scheduler.drift.column_baseline import ColumnBaseline
from scheduler.drift.page import distribution

NAMES = (*(f"category_number_{place}" for place in range(12)), "x" * 60)


def labels(bins: Bins) -> list[str]:
    counts = tuple(range(1, bins.size + 1))
    column = ColumnDrift("amount", bins.kind, 0.3, 0.1, 0.0, 0.0, 1.0, alarm=True, counts=counts)
    svg = distribution(column, ColumnBaseline(bins, counts[::-1], 7, 1.0, 0.0))
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


def test_a_scale_of_many_sizes_shows_a_few_plain_numbers() -> None:
    edges = tuple(np.geomspace(0.01, 5e7, 40).tolist())
    shown = labels(Bins(ColumnKind.NUMBER, edges=edges))
    ticks = [text for text in shown if re.fullmatch(r"[0-9,.e+]+", text)]
    assert not [text for text in shown if "$" in text or "\\" in text]
    assert {"0", "1,000,000"} <= set(ticks)


def test_categories_are_whole_names_unless_they_are_very_long() -> None:
    shown = labels(Bins(ColumnKind.CATEGORY, categories=NAMES))
    assert sum(text in NAMES for text in shown) == 7
    assert ("x" * 21 + "\N{HORIZONTAL ELLIPSIS}") in shown
