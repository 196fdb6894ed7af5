"""Decisions that only the database remembers, looked up by transaction_id."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from api.journal.entries import Decided, decided_from_row
from shared.tables.schema import api_transaction_logs as table

_log = structlog.get_logger()
_EXISTS = f"SELECT 1 FROM {table.name} WHERE transaction_id = ?"  # noqa: S608 - a constant
# After a failure the database is left alone this long: scoring does not wait for it.
_PAUSE_SECONDS = 1.0

Thresholds = Callable[[str], Mapping[str, float]]


class DecisionLookup:
    """Finds what was decided before; says None while the database is away."""

    def __init__(self, engine: Engine, feature_set_version: str, thresholds: Thresholds) -> None:
        self._engine = engine
        self._feature_set_version = feature_set_version
        self._thresholds = thresholds
        self._sqlite = engine.dialect.name == "sqlite"
        self._link: Any = None
        self._resume_at = 0.0

    def find(self, transaction_id: str) -> Decided | None:
        if time.monotonic() < self._resume_at:
            return None
        try:
            if self._sqlite and not self._exists(transaction_id):
                return None
            return self._read(transaction_id)
        except (SQLAlchemyError, OSError, self._driver_error()) as error:
            self._resume_at = time.monotonic() + _PAUSE_SECONDS
            self._link = None
            _log.warning("decision_lookup_failed", error=type(error).__name__)
            return None

    def _exists(self, transaction_id: str) -> bool:
        """Most ids are new: ask through a bare connection, a tenth of the cost of Core.

        Rows are fetched to the end, so that no read snapshot is left open.
        """
        if self._link is None:
            self._link = self._engine.raw_connection()
        cursor = self._link.driver_connection.execute(_EXISTS, (transaction_id,))
        return bool(cursor.fetchall())

    def _read(self, transaction_id: str) -> Decided | None:
        query = select(table).where(table.c.transaction_id == transaction_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        # A vector of another feature set cannot be answered from; the row still counts once.
        if row is None or row["feature_set_version"] != self._feature_set_version:
            return None
        if row["feature_vector"] is None or not row["component_scores"]:
            return None
        return decided_from_row(dict(row), self._thresholds(row["model_version"]))

    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error
