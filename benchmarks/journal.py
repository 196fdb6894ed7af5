"""Loss of acknowledged rows under kills, power cuts and damaged files: `make bench-journal`.

The real API process, with its drain in a separate process, answers rows and dies, again and
again, each time in a way that one of the cases knows. Each life begins on what the last one left.
At the end the journal is drained and counted: every answered id for which the settings promise it
has to be in the database exactly once, the merchants' tiles have to count each row once, and rows
sent again in a later life have to be answered as they were.

`python -m benchmarks.journal --short` takes a minute or two, `--only power` runs one case.
"""

import argparse
import random

from benchmarks import journal_damage, journal_database, journal_kills, journal_power
from benchmarks.journal_load import Case
from benchmarks.report import Bar, finish

# What else may happen to what is acknowledged is another file with a CASE, and a line here.
CASES: tuple[Case, ...] = (
    journal_kills.CASE,
    journal_power.CASE,
    journal_damage.CASE,
    journal_database.CASE,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few faults of each kind")
    parser.add_argument("--only", choices=[case.name for case in CASES], help="one case")
    asked = parser.parse_args()
    figures: dict[str, float] = {}
    bars: dict[str, Bar] = {}
    for case in CASES:
        if asked.only in {None, case.name}:
            figures |= case.run(asked.short, random.Random(20_261))
            bars |= case.bars(asked.short)
    finish("journal", figures, bars)


if __name__ == "__main__":
    main()
