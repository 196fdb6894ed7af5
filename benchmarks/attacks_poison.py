"""Checks that unauthenticated callers cannot change features, tiles or training data.

Each attack of tests/api/attacks/poison.py is tried on one of two services that know the same: on a
port that is open to anybody, on one that is open on this machine (what is dated back, and
labels), and on a closed one. Then both are asked the same. As a control the worst attacks
are repeated with a token: those have to take, or the comparison would see nothing.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from benchmarks.report import Bar, finish, no_options
from shared.keys.tokens import Role
from tests.api.attacks.poison import (
    CONTROLS,
    POISON,
    PairedServices,
    Poison,
    Stranger,
    paired_services,
)

Attack = Callable[[Path], tuple[int, list[str]]]
"""Tries some attacks in a folder; says how many, and what each that took has changed."""

BARS: dict[str, Bar] = {
    "poison_tried": (">=", 30),
    "poison_taken": ("==", 0),
    "controls_taken": ("==", len(CONTROLS)),
}


def main() -> None:
    no_options(__doc__)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="understudy-poison-") as name:
        finish("attacks_poison", poison_figures(Path(name)), BARS)


def poison_figures(folder: Path) -> dict[str, float]:
    """The number of attacks tried, and of those that changed anything."""
    done = {name: attack(folder / name) for name, attack in POISONERS.items()}
    with paired_services(folder / "controls") as pair:
        controls = sum(pair.effect(with_token(poison, pair)) is not None for poison in CONTROLS)
    taken = {name: found for name, (_, found) in done.items()}
    for name, found in taken.items():
        for what in found:
            print(f"POISON TOOK: {name}: {what}")
    return {
        "poison_tried": sum(tried for tried, _ in done.values()),
        "poison_taken": sum(map(len, taken.values())),
        **{f"taken_{name}": len(found) for name, found in taken.items()},
        "controls_taken": controls,
    }


def with_token(poison: Poison, pair: PairedServices) -> Poison:
    """The same rows with the scorer's token."""
    headers = pair.attacked.bearer(Role.SCORER)
    return Poison(
        poison.name,
        lambda stranger: poison.attempt(Stranger(stranger.client, stranger.now_us, headers)),
    )


def _against(*poison: Poison, **settings: Any) -> Attack:
    def attack(folder: Path) -> tuple[int, list[str]]:
        with paired_services(folder, **settings) as pair:
            return len(poison), [found for each in poison if (found := pair.effect(each))]

    return attack


POISONERS: Mapping[str, Attack] = {
    "open_to_anybody": _against(*POISON, open_scoring_reach="anywhere"),
    "open_on_this_machine": _against(*(each for each in POISON if not each.is_of_now)),
    "closed": _against(*POISON, scoring_auth="on"),
}
"""Everything that is tried, by the way the port is guarded."""


if __name__ == "__main__":
    main()
