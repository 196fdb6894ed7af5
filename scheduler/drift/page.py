"""The drift page: one self-contained HTML text with its charts; the latest are kept on disk."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.axes import Axes

from scheduler.drift.check import ColumnDrift
from scheduler.drift.column_baseline import ColumnBaseline
from scheduler.drift.finding import DriftFinding
from scheduler.drift.record import to_json
from scheduler.report import paper, words
from scheduler.report.canvas import CANDIDATE, CHAMPION, INK, MUTED, POSITIVE, drawing
from shared.clock import to_datetime
from shared.system.files import write_whole_within

ROW_HEIGHT, WIDTH, HALF_WIDTH, HALF_HEIGHT = 0.27, 7.4, 5.2, 3.1
BARS, CATEGORIES = 20, 10
NAMES_WIDTH, LONGEST_NAME, TICKS = 1.65, 22, 4
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
    """The distribution of one column, then and now."""
    alt = (
        f"{column.name}: training rows against current rows; effect {column.effect:.3f}, "
        f"the smallest that matters is {column.floor:.3f}."
    )
    left = 0.6 if column.kind.ordered else NAMES_WIDTH
    with drawing(
        f"column-{column.name}", alt, HALF_WIDTH, HALF_HEIGHT, left=left, top=0.35
    ) as sheet:
        axes = sheet.axes[0]
        draw = _cumulated if column.kind.ordered else _shares
        draw(axes, column, baseline)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=2, borderaxespad=0.1)
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
        _logarithmic(axes, max(float(np.median(edges)), 1e-3), float(edges[-1]))
    axes.set(ylim=(-0.02, 1.02), xlabel=column.name, ylabel="share of rows up to here")


def _logarithmic(axes: Axes, linear_to: float, largest: float) -> None:
    """A scale that is linear near zero, with a few powers of ten as plain numbers."""
    axes.set_xscale("symlog", linthresh=linear_to)
    powers = np.arange(np.ceil(np.log10(linear_to)), np.floor(np.log10(largest)) + 1)
    shown = powers[:: max(1, round(len(powers) / TICKS))]
    axes.set_xticks([0.0, *(10.0**shown)], ["0", *(_power(power) for power in shown)])
    axes.minorticks_off()


def _power(power: float) -> str:
    return f"{10.0**power:,.0f}" if 0 <= power <= 6 else f"{10.0**power:g}"


def _shares(axes: Axes, column: ColumnDrift, baseline: ColumnBaseline) -> None:
    names = [*baseline.bins.categories, _OTHER, _MISSING]
    before = np.asarray(baseline.counts) / max(sum(baseline.counts), 1)
    after = np.asarray(column.counts) / max(sum(column.counts), 1)
    filled = np.flatnonzero((before + after) > 0.0)
    shown = filled[np.argsort(-np.maximum(before, after)[filled], kind="stable")][:CATEGORIES]
    # the most frequent at the top
    places = np.arange(len(shown))[::-1]
    axes.barh(places + 0.2, before[shown], 0.38, color=CHAMPION, label="training rows", alpha=0.6)
    axes.barh(places - 0.2, after[shown], 0.38, color=CANDIDATE, label="current rows", alpha=0.6)
    axes.set_yticks(places, [_short(names[place]) for place in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set(xlabel=f"share of rows by {column.name}")


def _short(name: str) -> str:
    begin = name[: LONGEST_NAME - 1]
    return name if len(name) <= LONGEST_NAME else f"{begin}\N{HORIZONTAL ELLIPSIS}"


TEMPLATE = "drift.html"
MOST_PICTURES, PICTURES_WITHOUT_ALARM = 8, 4


def render(use_case: str, finding: DriftFinding, sentence: str) -> str:
    """The report of one check as HTML."""
    report, known = finding.report, finding.baseline
    moved = report.alarms[:MOST_PICTURES] or report.columns[:PICTURES_WITHOUT_ALARM]
    pictures = [(column, distribution(column, known[column.name])) for column in moved]
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            use_case=use_case,
            finding=finding,
            sentence=sentence,
            known=known,
            start=to_datetime(finding.window.start_us),
            end=to_datetime(finding.window.end_us),
            delay_days=finding.label_delay_us / 86_400_000_000,
            distances=distances(report.columns),
            pictures=pictures,
            style=paper.style(),
        )
    )


def _missing(counts: tuple[int, ...]) -> str:
    """The last bin of every column holds what is missing."""
    return words.share(counts[-1], sum(counts)) if counts else words.NOTHING


@cache
def _environment() -> Environment:
    filters = {"number": words.number, "moment": words.moment, "missing": _missing}
    return paper.environment("scheduler.drift", filters)


_PREFIX = "drift_run_"


class DriftReports:
    """`DRIFT_REPORTS_DIR/drift_run_N.html` and `.json`."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep

    def save(self, run_id: int, use_case: str, finding: DriftFinding, sentence: str) -> str:
        """Write both; returns the name of the page."""
        content: dict[str, Any] = {"run_id": run_id, "answer": sentence, **to_json(finding)}
        text = json.dumps(content, indent=2, allow_nan=False)
        page = self._root / f"{_PREFIX}{run_id}.html"
        write_whole_within(page, render(use_case, finding, sentence).encode())
        write_whole_within(page.with_suffix(".json"), f"{text}\n".encode())
        self._prune()
        return page.name

    def _prune(self) -> None:
        pages = sorted(
            self._root.glob(f"{_PREFIX}*.html"), key=lambda path: path.stat().st_mtime_ns
        )
        for page in pages[: -self._keep]:
            page.unlink()
            page.with_suffix(".json").unlink(missing_ok=True)
