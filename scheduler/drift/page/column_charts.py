"""The pictures: how far every column moved, and both distributions of those that moved most."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from scheduler.drift.check import ColumnDrift
from scheduler.drift.column_baseline import ColumnBaseline
from scheduler.report.canvas import CANDIDATE, CHAMPION, INK, MUTED, POSITIVE, drawing

ROW_HEIGHT, WIDTH, HALF_WIDTH, HALF_HEIGHT = 0.27, 7.4, 5.2, 3.1
BARS, CATEGORIES = 20, 10
FARTHEST = 5.0
"""One column that is something else altogether must not make all others invisible."""
_OTHER, _MISSING = "other", "missing"


def distances(columns: Sequence[ColumnDrift]) -> Markup:
    """A bar a column: its effect as a multiple of its floor; what crosses the line is large."""
    drawn = list(columns[:BARS])
    listed = "; ".join(f"{column.name} {column.effect / column.floor:.2f}" for column in drawn)
    left = 0.3 + 0.075 * max(len(column.name) for column in drawn)
    height = ROW_HEIGHT * len(drawn) + 0.7
    alt = f"How far columns moved, as multiples of the smallest effect that matters: {listed}."
    with drawing("distances", alt, WIDTH, height, left=left) as sheet:
        axes = sheet.axes[0]
        for place, column in enumerate(reversed(drawn)):
            colour = POSITIVE if column.alarm else CANDIDATE
            reach = min(column.effect / column.floor, FARTHEST)
            axes.barh(place, reach, color=colour, alpha=0.55, height=0.62)
        axes.axvline(1.0, color=INK, linewidth=1)
        axes.set_yticks(range(len(drawn)), [column.name for column in reversed(drawn)])
        axes.set_ylim(-0.6, len(drawn) - 0.4)
        axes.set_xlabel("effect over the smallest that matters (cut at 5)", color=MUTED)
        axes.grid(visible=False, axis="y")
    return sheet.svg


def distribution(column: ColumnDrift, baseline: ColumnBaseline) -> Markup:
    """Then and now of one column."""
    alt = (
        f"{column.name}: training rows against current rows; effect {column.effect:.3f}, "
        f"the smallest that matters is {column.floor:.3f}."
    )
    with drawing(f"column-{column.name}", alt, HALF_WIDTH, HALF_HEIGHT) as sheet:
        axes = sheet.axes[0]
        draw = _cumulated if column.kind.ordered else _shares
        draw(axes, column, baseline)
        axes.legend(loc="best")
    return sheet.svg


def _cumulated(axes: Axes, column: ColumnDrift, baseline: ColumnBaseline) -> None:
    """Shares of rows up to a value; the largest gap between the lines is the effect."""
    edges = np.asarray(baseline.bins.edges)
    sides = (
        (baseline.counts, "training rows", CHAMPION, "--"),
        (column.counts, "current rows", CANDIDATE, "-"),
    )
    for counts, label, colour, line in sides:
        shares = np.cumsum(counts)[: len(edges)] / max(sum(counts), 1)
        axes.plot(edges, shares, color=colour, label=label, linestyle=line)
    if len(edges) and edges[0] >= 0.0 and edges[-1] > 50.0 * max(float(np.median(edges)), 1e-9):
        axes.set_xscale("symlog", linthresh=max(float(np.median(edges)), 1e-3))
    axes.set(ylim=(-0.02, 1.02), xlabel=column.name, ylabel="share of rows up to here")


def _shares(axes: Axes, column: ColumnDrift, baseline: ColumnBaseline) -> None:
    names = [*baseline.bins.categories, _OTHER, _MISSING]
    before = np.asarray(baseline.counts) / max(sum(baseline.counts), 1)
    after = np.asarray(column.counts) / max(sum(column.counts), 1)
    filled = np.flatnonzero((before + after) > 0.0)
    shown = filled[np.argsort(-np.maximum(before, after)[filled], kind="stable")][:CATEGORIES]
    places = np.arange(len(shown))
    axes.bar(places - 0.2, before[shown], 0.38, color=CHAMPION, label="training rows", alpha=0.6)
    axes.bar(places + 0.2, after[shown], 0.38, color=CANDIDATE, label="current rows", alpha=0.6)
    axes.set_xticks(places, [names[place][:14] for place in shown])
    axes.set(xlabel=column.name, ylabel="share of rows")
