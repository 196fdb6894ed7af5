"""Matplotlib as a maker of inline SVG: no files, no fonts, colours that follow the page.

Figures are drawn in stand-in colours, which become CSS variables; so one figure is right on a
light and on a dark page.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID = "#010203", "#040506", "#070809"
CANDIDATE, CHAMPION = "#0a0b0c", "#0d0e0f"
POSITIVE, NEGATIVE = "#101112", "#131415"
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    CANDIDATE: "candidate",
    CHAMPION: "champion",
    POSITIVE: "positive",
    NEGATIVE: "negative",
}
_STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


_MOST, _LEAST = 125, 62
"""Pixels of a page for an inch of a drawing."""
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Drawing:
    """One figure in progress; `svg` is set when the drawing is finished."""

    def __init__(self, width: float, height: float, panels: int, left: float, top: float) -> None:
        self.figure = Figure(figsize=(width, height))
        # margins in inches; matplotlib's automatic layout draws everything twice
        self.figure.subplots_adjust(
            left=left / width,
            right=1 - 0.15 / width,
            bottom=0.55 / height,
            top=1 - top / height,
            wspace=0.22,
        )
        self.axes: list[Axes] = [
            self.figure.add_subplot(1, panels, place + 1) for place in range(panels)
        ]
        self.svg = Markup("")


@contextmanager
def drawing(
    name: str,
    alt: str,
    width: float,
    height: float,
    *,
    panels: int = 1,
    left: float = 0.6,
    top: float = 0.12,
) -> Iterator[Drawing]:
    """Draw inside the block; afterwards the drawing's `svg` can stand in a page.

    `name` makes the ids of several figures on one page distinct; `alt` is the text alternative;
    `left` and `top` are the room for labels and titles, in inches.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        sheet = Drawing(width, height, panels, left, top)
        yield sheet
        sheet.svg = _svg(sheet.figure, alt)


def _svg(figure: Figure, alt: str) -> Markup:
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # the page sets the size of a chart; the viewBox keeps its aspect ratio
    text = re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    label, inches = escape(alt), figure.get_size_inches()[0]
    # limits of the width: for a chart alone on a page, and for a phone
    style = f"max-width: {inches * _MOST:.0f}px; min-width: {inches * _LEAST:.0f}px"
    drawn = f'<svg role="img" aria-label="{label}" style="{style}" '
    return Markup(text.replace("<svg ", drawn, 1))  # noqa: S704
