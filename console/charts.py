"""Small charts as SVG, drawn on the server; each stands beside the table of its numbers.

Colours and fonts are classes of the style sheet, so that they follow light and dark, and no
attribute is a style: the policy of the pages forbids those.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from shared.printable import printable

WIDTH, HEIGHT = 640.0, 160.0
_PAD = 6.0


@dataclass(frozen=True, slots=True)
class IntervalEstimate:
    """An estimate with its interval; `limit` is what it is compared with."""

    name: str
    low: float
    estimate: float
    high: float
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; None is a gap."""

    name: str
    values: Sequence[float | None]


def line_chart(title: str, lines: Sequence[Line], lowest: float | None = 0.0) -> Markup:
    """Lines over the same places, left to right."""
    known = [v for line in lines for v in line.values if v is not None and math.isfinite(v)]
    low, high = _range(known, lowest)
    paths = []
    for place, line in enumerate(lines):
        for piece in _pieces(line.values):
            points = " ".join(
                f"{_across(at, len(line.values)):.1f},{_down(value, low, high):.1f}"
                for at, value in piece
            )
            paths.append(Markup('<polyline class="line l{}" points="{}"/>').format(place, points))
    scale = Markup('<p class="hint">from {:.4g} at the bottom to {:.4g} at the top</p>')
    return _svg(title, paths, WIDTH, HEIGHT) + scale.format(low, high)


def columns(title: str, values: Sequence[float]) -> Markup:
    """Vertical columns side by side, such as a histogram."""
    most, count = max(values, default=0.0) or 1.0, max(1, len(values))
    step = WIDTH / count
    shapes = [
        Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            step * place + 1,
            HEIGHT - HEIGHT * value / most,
            max(1.0, step - 2),
            HEIGHT * value / most,
        )
        for place, value in enumerate(values)
    ]
    return _svg(title, shapes, WIDTH, HEIGHT)


def interval_chart(title: str, interval: IntervalEstimate) -> Markup:
    """One estimate with its interval and its limit, on a common scale."""
    marks = [interval.low, interval.high, interval.estimate]
    marks += [] if interval.limit is None else [interval.limit]
    low, high = min(*marks, 0.0), max(*marks, 0.0)
    span = (high - low) or 1.0
    width, middle = 240.0, 11.0

    def at(value: float) -> float:
        return _PAD + (width - 2 * _PAD) * (value - low) / span

    shapes = [
        Markup('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="2" y2="20"/>').format(at(0.0)),
        Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
            at(interval.low), at(interval.high), middle, middle
        ),
        Markup('<circle class="dot" cx="{:.1f}" cy="{}" r="4"/>').format(
            at(interval.estimate), middle
        ),
    ]
    if interval.limit is not None:
        shapes.append(
            Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="1" y2="21"/>').format(
                at(interval.limit)
            )
        )
    return _svg(title, shapes, width, 22.0)


def span(title: str, begin: float, length: float, whole: float) -> Markup:
    """A stretch of a whole, such as a step within its run."""
    width, scale = 320.0, 320.0 / (whole or 1.0)
    shape = Markup('<rect class="bar" x="{:.1f}" y="3" width="{:.1f}" height="12"/>').format(
        min(begin * scale, width - 2.0), max(2.0, length * scale)
    )
    return _svg(title, [shape], width, 18.0)


def _svg(title: str, shapes: Sequence[Markup], width: float, height: float) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(width, height, escape(printable(title)), Markup("").join(shapes))


def _range(known: Sequence[float], lowest: float | None) -> tuple[float, float]:
    low = min(known, default=0.0) if lowest is None else lowest
    high = max(known, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _across(place: int, count: int) -> float:
    return _PAD + (WIDTH - 2 * _PAD) * place / max(1, count - 1)


def _down(value: float, low: float, high: float) -> float:
    return HEIGHT - _PAD - (HEIGHT - 2 * _PAD) * (value - low) / (high - low)


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Runs of known values with their places."""
    pieces: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append((place, value))
    return [piece for piece in pieces if piece]
