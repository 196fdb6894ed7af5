"""The figures that compare many things in rows: differences with intervals, importances."""

from collections.abc import Sequence

from markupsafe import Markup

from scheduler.report.canvas import CANDIDATE, INK, MUTED, drawing
from scheduler.report.data import ALL_ROWS, Gain, Importance
from scheduler.report.words import metric_name

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
