"""A small world, lived through once."""

from datetime import UTC, datetime

import pytest

from shared.clock import to_micros
from simulator.history import SimulatedPast, relive
from simulator.world import World, build_world

NOW_US = to_micros(datetime(2026, 6, 1, 12, 30, tzinfo=UTC))


@pytest.fixture(scope="session")
def world() -> World:
    return build_world(seed=3, customers=150, merchants=400)


@pytest.fixture(scope="session")
def past(world: World) -> SimulatedPast:
    return relive(world, NOW_US, days=90)
