"""After an upgrade of the feature set, drift is looked for in vectors of either version."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from scheduler.drift.live import DriftWindow, read_live
from shared.clock import MICROS_PER_DAY
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions
from shared.usecase.serving import FeatureSet
from tests.api.bundles import manifest
from tests.scheduler.fakes import NAMES, NOW_US, TinyUseCase
from tests.support.drift_bench import scored_rows

NEWER = FeatureSet(
    "2",
    (*NAMES, "channel_code"),
    dict.fromkeys((*NAMES, "channel_code"), "all"),
    categories=frozenset({"channel_code"}),
    older={"1": len(NAMES)},
)
WINDOW = DriftWindow(NOW_US, NOW_US + 2 * MICROS_PER_DAY, NOW_US + 3 * MICROS_PER_DAY)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A day of vectors of version 1, then a day of version 2."""
    engine = connect(f"sqlite:///{tmp_path / 'rows.db'}")
    migrate(engine)
    older = scored_rows(NOW_US, 1, 1, "1.0.0")
    newer = scored_rows(NOW_US + MICROS_PER_DAY, 1, 2, "1.0.0")
    for row in newer:
        row["feature_vector"] += np.float32(257.0).tobytes()
        row["feature_set_version"] = "2"
    with engine.begin() as connection:
        write_decisions(connection, [*older, *newer])
    return engine


@pytest.mark.parametrize(("version", "rows"), [("1", 400), ("2", 200)])
def test_a_champion_is_compared_with_every_vector_that_has_its_features(
    engine: Engine, version: str, rows: int
) -> None:
    names = NEWER.names_of(version)
    said = manifest("1.0.0", feature_set_version=version, feature_names=names)
    live = read_live(engine, TinyUseCase(feature_set=NEWER), said, WINDOW, 0)
    engine.dispose()
    [features] = [group for group in live.groups if "size" in group.columns]
    assert {name: len(values) for name, values in features.columns.items()} == dict.fromkeys(
        NAMES, rows
    ), "codes of words are left out"
    assert all(np.isfinite(values).all() for values in features.columns.values())


def test_a_feature_set_names_what_its_older_versions_had() -> None:
    assert NEWER.names_of("1") == NAMES
    assert NEWER.names_of("2") == NEWER.names
    assert NEWER.names_of("3") == NEWER.names_of(None) == ()
    assert NEWER.versions == ("2", "1")
