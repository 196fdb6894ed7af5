"""Feature vectors as they were served: the newest of them, read from the API's log."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine, Text, cast, select

from shared.clock import MICROS_PER_DAY
from shared.tables.config import enabled_features
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs as table
from shared.usecase.serving import HISTORY_UNAVAILABLE, FeatureSet, FloatMatrix

NEWEST = 5_000
MAX_AGE_US = 7 * MICROS_PER_DAY
"""A skew that was corrected must not block for longer than the rows that still show it."""


@dataclass(frozen=True, slots=True)
class Served:
    """One row a scored transaction; columns are the features of these names."""

    transaction_ids: tuple[str, ...]
    names: tuple[str, ...]
    matrix: FloatMatrix


def nothing_served(names: tuple[str, ...]) -> Served:
    return Served((), names, np.zeros((0, len(names)), dtype=np.float32))


def read_served(engine: Engine, as_of_us: int, feature_set: FeatureSet) -> Served:
    """The vectors of this feature set served in the last days.

    A vector has no feature names: only those with the current length are read.

    Raises:
        DataUnavailable: the database cannot be read.
    """
    names = enabled_features(engine, feature_set)
    reasons = cast(table.c.reason_codes, Text)
    query = (
        select(table.c.transaction_id, table.c.feature_vector)
        .where(table.c.event_time > as_of_us - MAX_AGE_US, table.c.ingested_at <= as_of_us)
        .where(table.c.feature_set_version == feature_set.version)
        .where(table.c.feature_vector.is_not(None))
        # rows scored without history differ for a known reason, reported elsewhere
        .where(reasons.is_(None) | reasons.not_like(f"%{HISTORY_UNAVAILABLE}%"))
        .order_by(table.c.event_time.desc())
        .limit(NEWEST)
    )
    with database_errors("read served features"), engine.connect() as connection:
        rows = connection.execute(query).all()
    size = len(names) * np.dtype("<f4").itemsize
    fitting = [(str(key), bytes(raw)) for key, raw in rows if len(raw) == size]
    if not fitting:
        return nothing_served(names)
    vectors = np.frombuffer(b"".join(raw for _, raw in fitting), dtype="<f4")
    matrix: FloatMatrix = vectors.reshape(len(fitting), len(names)).astype(np.float32)
    return Served(tuple(key for key, _ in fitting), names, matrix)
