"""Transactions as columns of numbers, as the generators make them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from shared.clock import MICROS_PER_DAY
from simulator.world import Floats, Ints, World

NOWHERE = -1
"""The city of a row without a place: a mobile payment names its device instead."""


class EventStage(NamedTuple):
    """The place, random source and time [start, end) of events."""

    world: World
    rng: np.random.Generator
    start_us: int
    end_us: int

    @property
    def days(self) -> float:
        return (self.end_us - self.start_us) / MICROS_PER_DAY

    def moments(self, size: int) -> Ints:
        """Instants anywhere in the time."""
        return self.rng.integers(self.start_us, self.end_us, size)


class Crime(IntEnum):
    """The origin of a row; HONEST is 0."""

    HONEST = 0
    COMPROMISED_MERCHANT = 1
    TAKEOVER = 2
    TESTING = 3
    BIG_TICKET = 4
    CLONED_CARD = 5
    STRANGE_DEVICE = 6


@dataclass(frozen=True, slots=True)
class SimulatedEvents:
    """One entry a transaction; all columns have the same length."""

    customer: Ints
    merchant: Ints
    time_us: Ints
    amount: Floats
    channel: Ints
    kind: Ints
    city: Ints
    device: Ints
    crime: Ints

    def __len__(self) -> int:
        return len(self.customer)

    def take(self, chosen: Any) -> "SimulatedEvents":
        """The rows an index or a mask chooses, in its order."""
        return SimulatedEvents(**{name: column[chosen] for name, column in self.columns().items()})

    def columns(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_columns(self, **columns: Any) -> "SimulatedEvents":
        return replace(self, **columns)


def together(parts: Sequence[SimulatedEvents]) -> SimulatedEvents:
    """All parts as one, in the order of time."""
    names = parts[0].columns()
    whole = SimulatedEvents(
        **{name: np.concatenate([part.columns()[name] for part in parts]) for name in names}
    )
    return whole.take(np.argsort(whole.time_us, kind="stable"))
