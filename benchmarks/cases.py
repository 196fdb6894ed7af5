"""Benchmarks of faults: cases, each run in short or in full, all reported in one line."""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.report import Bar, finish


class Case(NamedTuple):
    """One kind of fault: runs in short or in full, and answers figures of its own names."""

    name: str
    run: Callable[[bool, random.Random], dict[str, float]]
    bars: Callable[[bool], Mapping[str, Bar]]


def run_cases(name: str, cases: Sequence[Case], description: str | None) -> None:
    """The command line of such a benchmark; ends the process as `finish` does."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="a few faults of each kind")
    names = [case.name for case in cases]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these cases")
    asked = parser.parse_args()
    figures: dict[str, float] = {}
    bars: dict[str, Bar] = {}
    for case in cases:
        if case.name in asked.only:
            figures |= case.run(asked.short, random.Random(20_261))
            bars |= case.bars(asked.short)
    finish(name, figures, bars)
