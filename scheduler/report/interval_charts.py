"""Figures of values with intervals: differences, importances of columns, and operating points.

The operating point is what people would receive: the alerts of both models at the thresholds they
are served with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from scheduler.report.canvas import CANDIDATE, CHAMPION, INK, MUTED, drawing
from scheduler.report.data import ALL_ROWS, Gain, Importance
from scheduler.report.words import metric_name, number
from scheduler.statistics.operating_figures import FigureChange, Interval, OperatingFigures
from scheduler.statistics.operating_point import MONEY, PRECISION, RECALL, VOLUME

ROW_HEIGHT, WIDTH, HALF_WIDTH = 0.3, 7.4, 5.2
SHOWN = 15


def differences(name: str, what: str, gains: Sequence[Gain]) -> Markup | None:
    """A point and its interval for each gain; right of the line the candidate is better."""
    drawn = [(_label(item), item.measured) for item in gains if item.measured is not None]
    if not drawn:
        return None
    listed = "; ".join(
        f"{label} {item.difference:+.4f} from {item.lower:+.4f} to {item.upper:+.4f}"
        for label, item in drawn
    )
    left = _room([label for label, _ in drawn])
    height = ROW_HEIGHT * len(drawn) + 0.7
    with drawing(name, f"{what}: {listed}.", WIDTH, height, left=left) as sheet:
        axes = sheet.axes[0]
        axes.axvline(0.0, color=INK, linewidth=1)
        for place, (_, item) in enumerate(reversed(drawn)):
            axes.plot([item.lower, item.upper], [place, place], color=CANDIDATE, linewidth=2)
            axes.plot([item.difference], [place], marker="o", color=CANDIDATE, markersize=6)
        axes.set_yticks(range(len(drawn)), [label for label, _ in reversed(drawn)])
        axes.set_ylim(-0.6, len(drawn) - 0.4)
        axes.set_xlabel("← champion better · difference · candidate better →", color=MUTED)
        axes.grid(visible=False, axis="y")
    return sheet.svg


def importances(
    name: str, what: str, found: Sequence[Importance], metric: str = "auc"
) -> Markup | None:
    """A bar a feature, the most important on top, with the range over the repeats."""
    drawn = found[:SHOWN]
    if not drawn:
        return None
    listed = "; ".join(f"{item.name} {item.loss:.4f}" for item in drawn)
    left = _room([item.name for item in drawn])
    height = ROW_HEIGHT * len(drawn) + 0.7
    with drawing(name, f"{what}: {listed}.", HALF_WIDTH, height, left=left) as sheet:
        axes = sheet.axes[0]
        for place, item in enumerate(reversed(drawn)):
            axes.barh(place, item.loss, color=CANDIDATE, alpha=0.45, height=0.62)
            axes.plot([item.lowest, item.highest], [place, place], color=CANDIDATE, linewidth=2)
        axes.set_yticks(range(len(drawn)), [item.name for item in reversed(drawn)])
        axes.set_ylim(-0.6, len(drawn) - 0.4)
        axes.set_xlabel(f"{metric_name(metric)} lost when shuffled", color=MUTED)
        axes.grid(visible=False, axis="y")
    return sheet.svg


def _room(labels: Sequence[str]) -> float:
    """Inches that the longest label takes."""
    return 0.3 + 0.075 * max(map(len, labels))


def _label(gain: Gain) -> str:
    return metric_name(gain.metric) if gain.name == ALL_ROWS else gain.name


ROWS = (VOLUME, PRECISION, RECALL, MONEY, "alert_saved", "alert_missed", "alert_work")
DRAWN = (VOLUME, PRECISION, RECALL, MONEY)
_PANELS_WIDTH, _PANELS_HEIGHT = 9.4, 1.25
_LOOKS = {"champion": (CHAMPION, "s", 1), "candidate": (CANDIDATE, "o", 0)}


@dataclass(frozen=True, slots=True)
class OperatingRow:
    """One figure of both models; None is what there is not."""

    metric: str
    champion: float | None
    candidate: float | None
    champion_interval: Interval | None
    candidate_interval: Interval | None
    change: FigureChange | None


def operating_rows(found: OperatingFigures) -> tuple[OperatingRow, ...]:
    """Rows of the operating-point table; empty if the alerts of a model are not known."""
    if not found.candidate:
        return ()
    return tuple(
        OperatingRow(
            name,
            found.champion.get(name),
            found.candidate.get(name),
            found.champion_intervals.get(name),
            found.intervals.get(name),
            found.changes.get(name),
        )
        for name in ROWS
        if name in found.candidate
    )


def operating_chart(found: OperatingFigures) -> Markup | None:
    """A panel a figure: a point and its interval for each model, the champion above."""
    if not found.intervals:
        return None
    sides: dict[str, tuple[Mapping[str, float], Mapping[str, Interval]]] = {
        "champion": (found.champion, found.champion_intervals),
        "candidate": (found.candidate, found.intervals),
    }
    shown = {role: side for role, side in sides.items() if side[0]}
    drawn = [metric for metric in DRAWN if metric in found.candidate]
    listed = "; ".join(
        f"{metric_name(metric)} "
        + ", ".join(f"{role} {number(values.get(metric))}" for role, (values, _) in shown.items())
        for metric in drawn
    )
    alt = f"At the served thresholds: {listed}."
    with drawing(
        "operating", alt, _PANELS_WIDTH, _PANELS_HEIGHT, panels=len(drawn), left=0.85, top=0.3
    ) as sheet:
        for axes, metric in zip(sheet.axes, drawn, strict=True):
            for role, (values, intervals) in shown.items():
                _draw_point(axes, _LOOKS[role], values.get(metric), intervals.get(metric))
            axes.set_title(metric_name(metric), fontsize=9)
            axes.set_ylim(-0.6, 1.6)
            axes.set_yticks([])
            axes.locator_params(axis="x", nbins=4)
            axes.grid(visible=False, axis="y")
        heights = [_LOOKS[role][2] for role in shown]
        sheet.axes[0].set_yticks(heights, list(shown))
    return sheet.svg


def _draw_point(
    axes: Axes, look: tuple[str, str, float], value: float | None, interval: Interval | None
) -> None:
    colour, marker, height = look
    if interval is not None:
        axes.plot(interval, [height, height], color=colour, linewidth=2)
    if value is not None:
        axes.plot([value], [height], marker=marker, color=colour)
