"""The shipped recipe beside plain gradient boosting, on two simulated worlds.

`make bench-worlds`: the shipped simulator's world, by which the recipe was chosen, and a second
one that was written when it was fixed (`benchmarks/second_world.py`). Both as `bench-elsewhere`
measures. `--only simulator` or `--only second` for one, `--seeds 1` for a short run.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.elsewhere import Figures, measure, of_files
from benchmarks.report import Bar, finish
from benchmarks.second_world import TEST_FROM_US, TRAIN_BEFORE_US, write_second_world
from shared.clock import MICROS_PER_DAY, SystemClock
from shared.tables.engine import connect, migrate
from simulator.seeding import seed
from simulator.world import build_world

WORLDS = ("simulator", "second")
TEST_DAYS, LABEL_DELAY_DAYS = 40, 7
"""The simulator's world ends now; its newest days wait for their labels."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=WORLDS)
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--world", type=int, default=1, help="the seed of the second world")
    options = asked.parse_args()
    figures: Figures = {}
    bars: dict[str, Bar] = {}
    for name in WORLDS if options.only is None else (options.only,):
        found = (
            of_simulator(options.seeds)
            if name == "simulator"
            else of_second(options.seeds, options.world)
        )
        figures |= {f"{name}_{key}": value for key, value in found.items()}
        bars[f"{name}_ap_over_plain"] = (">=", -0.005)
    finish("worlds", figures, bars)


def of_simulator(seeds: int) -> Figures:
    now_us = SystemClock().now_us()
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'simulator.db'}")
        migrate(engine)
        seed(engine, build_world(), now_us, lambda _written, _total: None)
        test_from_us = now_us - (TEST_DAYS + LABEL_DELAY_DAYS) * MICROS_PER_DAY
        train_before_us = test_from_us - LABEL_DELAY_DAYS * MICROS_PER_DAY
        figures = measure(engine, train_before_us, test_from_us, seeds)
        engine.dispose()
    return figures


def of_second(seeds: int, world: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        data, mapping = write_second_world(Path(folder), world)
        return of_files(data, mapping, TRAIN_BEFORE_US, TEST_FROM_US, seeds)


if __name__ == "__main__":
    main()
