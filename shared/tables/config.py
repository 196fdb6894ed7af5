"""Settings changed by SQL: how often to retrain, and which features to use."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, select, update

from shared.clock import SystemClock, isoformat, to_micros
from shared.errors import DataUnavailable
from shared.tables.engine import database_errors
from shared.tables.schema import features_config, retraining_config
from shared.usecase.serving import FeatureSet

CONFIG_ID = 1


@dataclass(frozen=True, slots=True)
class RetrainingConfig:
    """The one row of RetrainingConfig; `interval` is as typed, the reader parses it.

    `last_run` and `next_run` are None when empty or not a timestamp: only the interval and
    the switch steer anything, so a typing error there must not stop the scheduler.
    """

    config_id: int
    interval: str
    is_enabled: bool
    last_run: datetime | None
    next_run: datetime | None


def read_retraining_config(engine: Engine) -> RetrainingConfig:
    """The configuration as it is now.

    Raises:
        DataUnavailable: the database cannot be read, or the row was deleted.
    """
    table = retraining_config
    query = select(table).where(table.c.configid == CONFIG_ID)
    with database_errors("read RetrainingConfig"), engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        raise DataUnavailable(f"RetrainingConfig has no row with ConfigId = {CONFIG_ID}")
    return RetrainingConfig(
        config_id=row.configid,
        interval=row.interval,
        is_enabled=bool(row.isenabled),
        last_run=_moment(row.lastrun),
        next_run=_moment(row.nextrun),
    )


def change_retraining(
    engine: Engine, *, interval: str | None = None, is_enabled: bool | None = None
) -> None:
    """Set what is given; the scheduler follows within seconds.

    Raises:
        DataUnavailable: the database cannot be written now, or the row was deleted.
    """
    values: dict[str, str | int] = {"updatedat": isoformat(SystemClock().now_us())}
    if interval is not None:
        values["interval"] = interval
    if is_enabled is not None:
        values["isenabled"] = int(is_enabled)
    mine = update(retraining_config).where(retraining_config.c.configid == CONFIG_ID)
    with database_errors("write RetrainingConfig"), engine.begin() as connection:
        changed = connection.execute(mine.values(values)).rowcount
    if not changed:
        raise DataUnavailable(f"RetrainingConfig has no row with ConfigId = {CONFIG_ID}")


def record_last_next(engine: Engine, last_run: datetime | None, next_run: datetime | None) -> None:
    """Show people when the last run was and when the next one is due.

    Raises:
        DataUnavailable: the database cannot be written now.
    """
    statement = (
        update(retraining_config)
        .where(retraining_config.c.configid == CONFIG_ID)
        .values(
            lastrun=_text(last_run),
            nextrun=_text(next_run),
            updatedat=isoformat(SystemClock().now_us()),
        )
    )
    with database_errors("write RetrainingConfig"), engine.begin() as connection:
        connection.execute(statement)


def enabled_features(engine: Engine, feature_set: FeatureSet) -> tuple[str, ...]:
    """The set's names in order, without those that FeaturesConfig switches off.

    A row may name a feature or a whole group; an empty table leaves everything on.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    query = select(features_config.c.featurename).where(features_config.c.isenabled == 0)
    with database_errors("read FeaturesConfig"), engine.connect() as connection:
        off = {name.strip().lower() for name in connection.scalars(query)}
    return tuple(
        name
        for name in feature_set.names
        if name.lower() not in off and feature_set.groups[name].lower() not in off
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else isoformat(to_micros(moment))


def _moment(written: str | None) -> datetime | None:
    if not written:
        return None
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
