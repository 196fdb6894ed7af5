"""Decisions that only the database remembers, looked up by transaction_id."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    Engine,
    Select,
    String,
    Table,
    any_,
    bindparam,
    column,
    func,
    select,
)

from api.journal.entries import Decided, decided_from_row, transaction_from_row
from api.scoring.decision_keys import quarantine_key, quarantined_id
from shared.features.fetch import fetch_from
from shared.features.guard import ReadGuard
from shared.tables.engine import database_errors, to_json
from shared.tables.read_standing import standing_of
from shared.tables.schema import api_transaction_logs, quarantined_transaction_logs
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
    """Finds what was decided before; finds nothing while the database is away.

    Keys are transaction_ids, or those of `quarantine_key` for the log of quarantined rows.
    """

    def __init__(self, engine: Engine, feature_set_version: str, thresholds: Thresholds) -> None:
        self._engine = engine
        self._feature_set_version = feature_set_version
        self._thresholds = thresholds
        self._fetch = fetch_from(engine)
        self._guard = ReadGuard(standing=standing_of(engine))
        self._takes_lists = engine.dialect.name == "postgresql"
        those = _those_of_a_list if self._takes_lists else _those_of_a_json_list
        self._stored = those(api_transaction_logs)
        self._quarantined = those(quarantined_transaction_logs)

    def find(self, key: str) -> Known | None:
        """What was stored under this key, if it was decided."""
        return self._guard.read(partial(self._read, key), None)

    def stored(self, keys: Sequence[str]) -> Sequence[str]:
        """Those of the keys whose decisions are stored, asked for at once."""
        if not keys:
            return ()
        quarantined = [name for key in keys if (name := quarantined_id(key)) is not None]
        if not quarantined:
            return self._known(self._stored, keys)
        found = self._known(self._quarantined, quarantined)
        others = [key for key in keys if quarantined_id(key) is None]
        return [*map(quarantine_key, found), *self.stored(others)]

    def _known(self, query: Select[Any], transaction_ids: Sequence[str]) -> Sequence[str]:
        return self._guard.read(partial(self._ask, query, transaction_ids), ())

    def _ask(self, query: Select[Any], transaction_ids: Sequence[str]) -> Sequence[str]:
        ids = list(transaction_ids) if self._takes_lists else to_json(transaction_ids)
        return [row[0] for row in self._fetch(query, {"ids": ids})]

    def _read(self, key: str) -> Known | None:
        quarantined = quarantined_id(key)
        table = api_transaction_logs if quarantined is None else quarantined_transaction_logs
        transaction_id = key if quarantined is None else quarantined
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


def _those_of_a_list(table: Table) -> Select[Any]:
    ids = bindparam("ids", type_=ARRAY(String))
    return select(table.c.transaction_id).where(table.c.transaction_id == any_(ids))


def _those_of_a_json_list(table: Table) -> Select[Any]:
    """One bound value however many ids there are: SQLite limits the number of values."""
    each = func.json_each(bindparam("ids")).table_valued(column("value"))
    return select(table.c.transaction_id).where(table.c.transaction_id.in_(select(each.c.value)))
