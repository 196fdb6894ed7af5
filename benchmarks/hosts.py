"""Several API hosts, HAProxy and PostgreSQL on this machine, and what fails. `make bench-hosts`

Real processes with a folder each; nothing is shared but the database. `--short` takes a minute or
two, `--only kept` runs one case.
"""

import argparse
import random

from benchmarks import hosts_kills, hosts_store
from benchmarks.journal_load import Case
from benchmarks.report import Bar, finish

CASES: tuple[Case, ...] = (hosts_kills.KEPT, hosts_kills.DESTROYED, hosts_store.CASE)


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
    finish("hosts", figures, bars)


if __name__ == "__main__":
    main()
