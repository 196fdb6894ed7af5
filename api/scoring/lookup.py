"""Decisions that only the database remembers, looked up by transaction_id."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Engine, Select, String, any_, bindparam, column, func, select

from api.journal.entries import Decided, decided_from_row, transaction_from_row
from shared.features.fetch import fetch_from
from shared.features.guard import ReadGuard
from shared.tables.engine import database_errors, to_json
from shared.tables.schema import api_transaction_logs as table
from shared.transaction import Transaction


class Known(NamedTuple):
    """A transaction that was decided before.

    Attributes:
        decided: enough to give the same answer again; None where it can be given no more.
    """

    transaction: Transaction
    decided: Decided | None


Thresholds = Callable[[str], Mapping[str, float]]


class DecisionLookup:
    """Finds what was decided before; finds nothing while the database is away."""

    def __init__(self, engine: Engine, feature_set_version: str, thresholds: Thresholds) -> None:
        self._engine = engine
        self._feature_set_version = feature_set_version
        self._thresholds = thresholds
        self._fetch = fetch_from(engine)
        self._guard = ReadGuard()
        self._takes_lists = engine.dialect.name == "postgresql"
        self._stored = _those_of_a_list() if self._takes_lists else _those_of_a_json_list()

    def find(self, transaction_id: str) -> Known | None:
        """What was stored of this transaction, if it was decided."""
        return self._guard.read(partial(self._read, transaction_id), None)

    def stored(self, transaction_ids: Sequence[str]) -> Sequence[str]:
        """Those of the ids whose decisions are stored, asked for at once."""
        if not transaction_ids:
            return ()
        return self._guard.read(partial(self._ask, transaction_ids), ())

    def _ask(self, transaction_ids: Sequence[str]) -> Sequence[str]:
        ids = list(transaction_ids) if self._takes_lists else to_json(transaction_ids)
        return [row[0] for row in self._fetch(self._stored, {"ids": ids})]

    def _read(self, transaction_id: str) -> Known | None:
        query = select(table).where(table.c.transaction_id == transaction_id)
        with database_errors("read a decision"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        # A vector of another feature set cannot be answered from; the row still counts once.
        has_vector = row["feature_vector"] is not None and bool(row["component_scores"])
        if not has_vector or row["feature_set_version"] != self._feature_set_version:
            return Known(transaction_from_row(dict(row)), None)
        decided = decided_from_row(dict(row), self._thresholds(row["model_version"]))
        return Known(decided.transaction, decided)


def _those_of_a_list() -> Select[Any]:
    ids = bindparam("ids", type_=ARRAY(String))
    return select(table.c.transaction_id).where(table.c.transaction_id == any_(ids))


def _those_of_a_json_list() -> Select[Any]:
    """One bound value however many ids there are: SQLite limits the number of values."""
    each = func.json_each(bindparam("ids")).table_valued(column("value"))
    return select(table.c.transaction_id).where(table.c.transaction_id.in_(select(each.c.value)))
