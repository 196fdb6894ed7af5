"""The alerts people would receive: both models at the thresholds they are served with."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from scheduler.report.canvas import CANDIDATE, CHAMPION, drawing
from scheduler.report.words import metric_name, number
from scheduler.statistics.operating_figures import FigureChange, Interval, OperatingFigures
from scheduler.statistics.operating_point import MONEY, PRECISION, RECALL, VOLUME

ROWS = (VOLUME, PRECISION, RECALL, MONEY, "alert_saved", "alert_missed", "alert_work")
DRAWN = (VOLUME, PRECISION, RECALL, MONEY)
WIDTH, HEIGHT = 9.4, 1.25
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
    with drawing("operating", alt, WIDTH, HEIGHT, panels=len(drawn), left=0.85, top=0.3) as sheet:
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
