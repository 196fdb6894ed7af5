"""The last line of every benchmark: its figures, their bars, and an exit status that follows."""

import argparse
import json
import operator
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

Bar = tuple[str, float]
"""The comparison of a figure with its limit, e.g. ("<=", 10.0)."""

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}


def no_options(description: str | None) -> None:
    """The command line of a benchmark without options: `--help` says what it measures."""
    argparse.ArgumentParser(description=description).parse_args()


def meets(figures: Mapping[str, float], bars: Mapping[str, Bar]) -> bool:
    """True if every bar is met; a figure that was not measured (or is NaN) misses its bar."""
    return all(
        name in figures and _COMPARE[comparison](figures[name], limit)
        for name, (comparison, limit) in bars.items()
    )


def finish(name: str, figures: Mapping[str, float], bars: Mapping[str, Bar]) -> NoReturn:
    """Print the one JSON line and leave with status 0 when every bar is met, else 1."""
    ok = meets(figures, bars)
    line = {"name": name, "figures": dict(figures), "bars": dict(bars), "ok": ok}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(0 if ok else 1)
