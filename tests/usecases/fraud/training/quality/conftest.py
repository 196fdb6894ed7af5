import polars as pl
import pytest

from benchmarks.quality_material import material_of
from benchmarks.quality_world import NOW_US, simulated_snapshot
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.features import FeatureContext


@pytest.fixture(scope="session")
def clean() -> pl.DataFrame:
    """Sixty days of a world of 150 customers, in which nothing is wrong."""
    return simulated_snapshot(11)


@pytest.fixture(scope="session")
def material(clean: pl.DataFrame) -> FeatureContext:
    found = material_of(clean, NOW_US, read_policy())
    assert found is not None
    return found
