"""Configuration is edited by hand in SQL; reading it forgives what does not matter."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from shared.errors import DataUnavailable
from shared.tables.config import enabled_features, read_retraining_config, record_last_next
from shared.usecase.serving import FeatureSet

FEATURES = FeatureSet(
    version="1",
    names=("amount", "cnt_1h", "km_from_home"),
    groups={"amount": "amount", "cnt_1h": "velocity", "km_from_home": "geo"},
)


def _run(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql))


def test_a_new_database_retrains_weekly(engine: Engine) -> None:
    config = read_retraining_config(engine)
    assert (config.interval, config.is_enabled) == ("1W", True)
    assert (config.last_run, config.next_run) == (None, None)


def test_what_was_recorded_is_read_back_to_the_microsecond(engine: Engine) -> None:
    last = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    record_last_next(engine, last, None)
    config = read_retraining_config(engine)
    assert (config.last_run, config.next_run) == (last, None)


def test_a_timestamp_typed_by_hand_does_not_stop_anything(engine: Engine) -> None:
    _run(engine, "UPDATE RetrainingConfig SET LastRun = 'yesterday', NextRun = '2026-01-01'")
    config = read_retraining_config(engine)
    assert config.last_run is None
    assert config.next_run == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_deleted_configuration_is_data_unavailable(engine: Engine) -> None:
    _run(engine, "DELETE FROM RetrainingConfig")
    with pytest.raises(DataUnavailable, match="no row"):
        read_retraining_config(engine)


def test_without_rows_every_feature_is_on(engine: Engine) -> None:
    assert enabled_features(engine, FEATURES) == FEATURES.names


def test_a_feature_or_a_whole_group_can_be_switched_off(engine: Engine) -> None:
    _run(engine, "INSERT INTO FeaturesConfig VALUES ('Geo', 0)")
    _run(engine, "INSERT INTO FeaturesConfig VALUES ('amount', 1)")
    assert enabled_features(engine, FEATURES) == ("amount", "cnt_1h")
    _run(engine, "INSERT INTO FeaturesConfig VALUES ('cnt_1h', 0)")
    assert enabled_features(engine, FEATURES) == ("amount",)
