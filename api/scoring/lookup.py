"""Decisions that only the database remembers, looked up by transaction_id."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sqlalchemy import Engine, bindparam, select

from api.journal.entries import Decided, decided_from_row
from shared.features.fetch import fetch_from
from shared.features.guard import ReadGuard
from shared.tables.bulk import existing_ids
from shared.tables.engine import database_errors
from shared.tables.schema import api_transaction_logs as table

_EXISTS = select(table.c.transaction_id).where(
    table.c.transaction_id == bindparam("transaction_id")
)

Thresholds = Callable[[str], Mapping[str, float]]


class DecisionLookup:
    """Finds what was decided before; finds nothing while the database is away."""

    def __init__(self, engine: Engine, feature_set_version: str, thresholds: Thresholds) -> None:
        self._engine = engine
        self._feature_set_version = feature_set_version
        self._thresholds = thresholds
        self._fetch = fetch_from(engine)
        self._guard = ReadGuard()

    def find(self, transaction_id: str) -> Decided | None:
        """The decision about this transaction, if one was stored."""
        return self._guard.read(partial(self._ask, transaction_id), None)

    def stored(self, transaction_ids: Sequence[str]) -> set[str]:
        """Those of the ids whose decisions are stored, asked for at once."""
        return self._guard.read(partial(self._ask_all, transaction_ids), set())

    def _ask_all(self, transaction_ids: Sequence[str]) -> set[str]:
        with database_errors("look for decisions"), self._engine.connect() as connection:
            return existing_ids(connection, table, transaction_ids)

    def _ask(self, transaction_id: str) -> Decided | None:
        # Most ids are new, and asking only for that is a tenth of the cost.
        if not self._fetch(_EXISTS, {"transaction_id": transaction_id}):
            return None
        return self._read(transaction_id)

    def _read(self, transaction_id: str) -> Decided | None:
        query = select(table).where(table.c.transaction_id == transaction_id)
        with database_errors("read a decision"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        # A vector of another feature set cannot be answered from; the row still counts once.
        if row is None or row["feature_set_version"] != self._feature_set_version:
            return None
        if row["feature_vector"] is None or not row["component_scores"]:
            return None
        return decided_from_row(dict(row), self._thresholds(row["model_version"]))
