"""A console with a fake API for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.console_bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Bench]:
    """Reading needs a session."""
    made = make_bench(tmp_path, scoring_auth="on")
    yield made
    made.close()
