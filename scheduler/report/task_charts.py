"""The figures of regressions, of several classes, and of rankings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from markupsafe import Markup

from scheduler.report.canvas import CANDIDATE, CHAMPION, GRID, INK, MUTED, drawing
from scheduler.report.data import Examined
from scheduler.report.task_views import COVERED, ClassView, RankView, TaskView, ValueView

View = TypeVar("View", ValueView, ClassView, RankView)

WIDTH, HEIGHT = 5.2, 3.9
ROW_HEIGHT, SHOWN_ITEMS = 0.3, 30
_COLOURS = {"candidate": CANDIDATE, "champion": CHAMPION}
_LINES = {"candidate": "-", "champion": "--"}
_BASELINE_LINES = (":", "-.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure and what it shows."""

    svg: Markup
    caption: str


def pictures(examined: Examined) -> tuple[Picture, ...]:
    """The figures of a task; none for a binary one, which has its own."""
    found = {
        role: view
        for role, view in (("candidate", examined.view), ("champion", examined.champion_view))
        if view is not None
    }
    if isinstance(examined.view, ValueView):
        return _of_values(_only(found, ValueView))
    if isinstance(examined.view, ClassView):
        return tuple(_confusion(role, view) for role, view in _only(found, ClassView).items())
    if isinstance(examined.view, RankView):
        return _of_ranks(_only(found, RankView), examined.baselines)
    return ()


def _only(found: Mapping[str, TaskView], kind: type[View]) -> dict[str, View]:
    return {role: view for role, view in found.items() if isinstance(view, kind)}


def _of_values(found: Mapping[str, ValueView]) -> tuple[Picture, ...]:
    return (_against_actual(found), _residuals(found), _bands(found))


def _against_actual(found: Mapping[str, ValueView]) -> Picture:
    view = found["candidate"]
    both = np.concatenate([view.actual, view.predicted])
    ends = [float(both.min()), float(both.max())]
    alt = (
        f"Predicted against actual values of candidate {view.version}, {len(view.actual)} rows "
        f"from {ends[0]:.4g} to {ends[1]:.4g}; on the diagonal a prediction is right."
    )
    with drawing("actual", alt, WIDTH, HEIGHT, left=0.75) as sheet:
        axes = sheet.axes[0]
        axes.plot(ends, ends, color=GRID, linestyle="--", linewidth=1)
        axes.plot(
            view.predicted, view.actual, linestyle="", marker="o", markersize=2.6, alpha=0.45,
            color=CANDIDATE,
        )  # fmt: skip
        axes.set(xlabel="predicted", ylabel="actual")
    return Picture(sheet.svg, "Actual values (up) against predicted ones (right), candidate. "
                              "On the dashed line a prediction is right.")  # fmt: skip


def _residuals(found: Mapping[str, ValueView]) -> Picture:
    alt = "Distribution of the residuals, truth minus prediction, of " + _named(found)
    with drawing("residuals", alt, WIDTH, HEIGHT) as sheet:
        axes = sheet.axes[0]
        axes.axvline(0.0, color=GRID, linewidth=1)
        for role, view in reversed(list(found.items())):
            axes.stairs(
                view.shares, view.edges, color=_COLOURS[role], linestyle=_LINES[role],
                label=f"{role} {view.version}", linewidth=1.6,
            )  # fmt: skip
        axes.set(xlabel="actual minus predicted", ylabel="share of the rows")
        axes.legend(loc="upper right")
    return Picture(sheet.svg, "Residuals: right of zero the model predicted too little. The ends "
                              "hold what lies beyond them.")  # fmt: skip


def _bands(found: Mapping[str, ValueView]) -> Picture:
    alt = "Residuals by predicted value, the middle and the 5th and 95th percentile, of "
    with drawing("bands", alt + _named(found), WIDTH, HEIGHT, left=0.75) as sheet:
        axes = sheet.axes[0]
        axes.axhline(0.0, color=INK, linewidth=1)
        for role, view in reversed(list(found.items())):
            colour = _COLOURS[role]
            axes.plot(
                view.centres, view.middle, color=colour, linestyle=_LINES[role],
                label=f"{role} {view.version}",
            )  # fmt: skip
            axes.fill_between(view.centres, view.low, view.high, color=colour, alpha=0.13)
        axes.set(xlabel="predicted", ylabel="actual minus predicted")
        axes.legend(loc="upper left")
    return Picture(sheet.svg, "Residuals by predicted value: the line is the middle, nine rows in "
                              "ten lie in the band. A slope, or a widening band, is structure "
                              "that the model has not learned.")  # fmt: skip


def _confusion(role: str, view: ClassView) -> Picture:
    counts = view.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    listed = "; ".join(
        f"{name} predicted correctly in {shares[at, at]:.0%}" for at, name in enumerate(view.shown)
    )
    alt = f"Confusion of the classes by {role} {view.version}: {listed}."
    left = 0.45 + 0.075 * max(map(len, view.shown))
    side = max(2.2, 0.42 * len(view.shown))
    width = left + side + 0.15
    name = f"confusion-{role}"
    with drawing(name, alt, width, side + 1.05, left=left, top=0.4) as sheet:
        axes = sheet.axes[0]
        axes.set_title(f"{role} {view.version}", fontsize=10)
        axes.grid(visible=False)
        for true, said in np.ndindex(counts.shape):
            axes.fill_between(
                [said - 0.5, said + 0.5], true - 0.5, true + 0.5, linewidth=0,
                color=_COLOURS[role], alpha=float(0.04 + 0.6 * shares[true, said]),
            )  # fmt: skip
            axes.text(said, true, f"{shares[true, said]:.0%}", ha="center", va="center", fontsize=8)
        places = range(len(view.shown))
        axes.set_xticks(places, [_short(one) for one in view.shown], rotation=30, ha="right")
        axes.set_yticks(places, view.shown)
        axes.set(xlim=(-0.5, len(view.shown) - 0.5), ylim=(len(view.shown) - 0.5, -0.5))
        axes.set_ylabel("true class", color=MUTED)
    return Picture(sheet.svg, "Of the rows of a true class (down) the share that was predicted as "
                              "each class (across).")  # fmt: skip


def _of_ranks(
    found: Mapping[str, RankView], baselines: Mapping[str, RankView]
) -> tuple[Picture, ...]:
    return (_gains(found, baselines), _items(found["candidate"]))


def _gains(found: Mapping[str, RankView], baselines: Mapping[str, RankView]) -> Picture:
    listed = "; ".join(
        f"{name} {view.version} {view.gains[0]:.4f} at 1 and {view.gains[-1]:.4f} at "
        f"{len(view.gains)}"
        for name, view in {**found, **baselines}.items()
    )
    with drawing("ndcg", f"NDCG by the length of the list: {listed}.", WIDTH, HEIGHT) as sheet:
        axes = sheet.axes[0]
        lengths = np.arange(1, len(found["candidate"].gains) + 1)
        for place, (name, view) in enumerate(baselines.items()):
            axes.plot(
                lengths, view.gains, color=MUTED, linestyle=_BASELINE_LINES[place % 2],
                label=f"baseline: {name.replace('_', ' ')}",
            )  # fmt: skip
        for role, view in reversed(list(found.items())):
            axes.plot(
                lengths, view.gains, color=_COLOURS[role], linestyle=_LINES[role], marker="o",
                markersize=3.5, label=f"{role} {view.version}",
            )  # fmt: skip
        axes.set(xlabel="items in the list", ylabel="NDCG")
        axes.set_xticks(lengths)
        axes.legend(loc="best")
    return Picture(sheet.svg, "How near each list comes to the ideal order (1), by its length. The "
                              "baselines have to be beaten.")  # fmt: skip


def _items(view: RankView) -> Picture:
    items = view.items[:SHOWN_ITEMS]
    listed = "; ".join(f"{item.name} {item.answered:.0%}" for item in items)
    left = 0.3 + 0.075 * max(len(item.name) for item in items)
    height = ROW_HEIGHT * len(items) + 0.7
    alt = f"Share of rows in whose first {COVERED} an item is: {listed}."
    with drawing("items", alt, WIDTH, height, left=left) as sheet:
        axes = sheet.axes[0]
        for place, item in enumerate(reversed(items)):
            axes.barh(place, item.answered, color=CANDIDATE, alpha=0.45, height=0.62)
            axes.plot([item.rated] * 2, [place - 0.31, place + 0.31], color=INK, linewidth=1.6)
        axes.set_yticks(range(len(items)), [item.name for item in reversed(items)])
        axes.set_ylim(-0.6, len(items) - 0.4)
        axes.set_xlabel(f"share of rows with the item among the first {COVERED}", color=MUTED)
        axes.grid(visible=False, axis="y")
    return Picture(sheet.svg, f"Which items the candidate puts forward: {view.coverage:.0%} of the "
                              f"items are among the first {COVERED} of some row. The mark is how "
                              "often the item was rated that high.")  # fmt: skip


def _named(found: Mapping[str, ValueView]) -> str:
    return " and ".join(f"{role} {view.version}" for role, view in found.items()) + "."


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}\N{HORIZONTAL ELLIPSIS}"
