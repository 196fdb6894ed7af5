"""The figures that show both models at once."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from scheduler.report.canvas import CANDIDATE, CHAMPION, GRID, MUTED, NEGATIVE, POSITIVE, drawing
from scheduler.report.data import Examined, ModelView, Reliability
from scheduler.report.measuring import FARTHEST_ODDS, log_odds

WIDTH, HEIGHT = 5.2, 3.7
# lines also differ in style and marker, for colour-blind readers
_LINES, _MARKERS = {"candidate": "-", "champion": "--"}, {"candidate": "o", "champion": "s"}
_TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def models(examined: Examined) -> list[tuple[str, ModelView, str]]:
    """Role, model and colour; the champion first, so that the candidate is drawn over it."""
    roles = [
        ("champion", examined.champion, CHAMPION),
        ("candidate", examined.candidate, CANDIDATE),
    ]
    return [(role, model, colour) for role, model, colour in roles if model is not None]


def roc(examined: Examined) -> Markup:
    both = models(examined)
    alt = "ROC curves: " + _description([(role, m, f"area {m.auc:.4f}") for role, m, _ in both])
    with drawing("roc", alt, WIDTH, HEIGHT) as sheet:
        axes = sheet.axes[0]
        axes.plot([0, 1], [0, 1], color=GRID, linestyle="--", linewidth=1)
        for role, model, colour in both:
            label = f"{role} {model.version}, area {model.auc:.4f}"
            axes.plot(model.roc.x, model.roc.y, color=colour, label=label, linestyle=_LINES[role])
        _unit(axes, "share of negatives flagged", "share of positives found")
        axes.legend(loc="lower right")
    return sheet.svg


def precision_recall(examined: Examined) -> Markup:
    both = models(examined)
    alt = "Precision-recall curves: " + _description(
        [(role, m, f"average precision {m.average_precision:.4f}") for role, m, _ in both]
    )
    share = examined.held_out.positives / max(examined.held_out.rows, 1)
    with drawing("precision-recall", alt, WIDTH, HEIGHT) as sheet:
        axes = sheet.axes[0]
        axes.axhline(share, color=GRID, linestyle="--", linewidth=1)
        for role, model, colour in both:
            label = f"{role} {model.version}, average {model.average_precision:.4f}"
            curve = model.precision_recall
            axes.plot(curve.x, curve.y, color=colour, label=label, linestyle=_LINES[role])
        _unit(axes, "recall: share of positives found", "precision")
        axes.legend(loc="upper right")
    return sheet.svg


def calibration(examined: Examined) -> Markup | None:
    drawn = [
        (role, model.version, model.reliability, colour)
        for role, model, colour in models(examined)
        if model.reliability is not None
    ]
    if not drawn:
        return None
    alt = (
        "Reliability: predicted probability against the share of positives that came, for "
        + " and ".join(f"{role} {version}" for role, version, _, _ in drawn)
        + "; on the diagonal a prediction is right."
    )
    with drawing("calibration", alt, WIDTH, HEIGHT) as sheet:
        axes = sheet.axes[0]
        limits = (-FARTHEST_ODDS, FARTHEST_ODDS)
        axes.plot(limits, limits, color=GRID, linestyle="--", linewidth=1)
        for role, version, reliability, colour in drawn:
            _bins(axes, reliability, colour, f"{role} {version}", role)
        _probabilities(axes, "x", "predicted probability")
        _probabilities(axes, "y", "share that was positive")
        axes.legend(loc="upper left")
    return sheet.svg


def distributions(examined: Examined) -> Markup:
    both = models(examined)[::-1]
    alt = "Distribution of scores for positives and for negatives, " + " and ".join(
        f"{role} {model.version}" for role, model, _ in both
    )
    low = min(model.histogram.edges[0] for _, model, _ in both)
    high = max(model.histogram.edges[-1] for _, model, _ in both)
    with drawing(
        "distributions", alt, WIDTH * 2, HEIGHT * 0.85, panels=len(both), top=0.35
    ) as sheet:
        for axes, (role, model, _) in zip(sheet.axes, both, strict=True):
            _classes(axes, model)
            axes.set_title(f"{role} {model.version}", fontsize=10)
            if model.reliability is None:
                axes.set(xlabel="score", xlim=(low, high))
            else:
                _ticks(axes, "x", "score (log-odds scale)", (low, high))
        highest = max(axes.get_ylim()[1] for axes in sheet.axes)
        for axes in sheet.axes:
            axes.set_ylim(0, highest)
        sheet.axes[0].set_ylabel("share of the class")
        sheet.axes[0].legend(loc="upper left")
    return sheet.svg


def _classes(axes: Axes, model: ModelView) -> None:
    bins = model.histogram
    for shares, colour, label in (
        (bins.negatives, NEGATIVE, "negatives"),
        (bins.positives, POSITIVE, "positives"),
    ):
        axes.stairs(shares, bins.edges, fill=True, alpha=0.35, color=colour)
        axes.stairs(shares, bins.edges, color=colour, label=label, linewidth=1.4)


def _bins(axes: Axes, reliability: Reliability, colour: str, label: str, role: str) -> None:
    x, y = log_odds(reliability.predicted), log_odds(reliability.observed)
    reach = [y - log_odds(reliability.lower), log_odds(reliability.upper) - y]
    axes.errorbar(
        x,
        y,
        np.maximum(reach, 0.0),
        color=colour,
        label=label,
        marker=_MARKERS[role],
        markersize=4,
        linewidth=1.2,
        elinewidth=1,
        linestyle=_LINES[role],
    )


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y)


def _probabilities(axes: Axes, which: str, label: str) -> None:
    _ticks(axes, which, label, (-FARTHEST_ODDS, FARTHEST_ODDS))


def _ticks(axes: Axes, which: str, label: str, limits: tuple[float, float]) -> None:
    """Probabilities written on a log-odds axis, as many as the limits leave room for."""
    inside = [p for p in _TICKS if limits[0] <= log_odds(np.array(p)) <= limits[1]]
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(log_odds(np.array(inside)).tolist(), [f"{p:g}" for p in inside])
    axis.set_label_text(label, color=MUTED)
    axes.set(**{f"{which}lim": limits})


def _description(found: Sequence[tuple[str, ModelView, str]]) -> str:
    return ", ".join(f"{role} {model.version} {figure}" for role, model, figure in found) + "."
