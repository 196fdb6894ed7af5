"""Hands the simulated world to the tests."""

import pytest

from tests.scheduler.statistics.worlds import Draw, draw_evidence


@pytest.fixture
def draw() -> Draw:
    return draw_evidence
