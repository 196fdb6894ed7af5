"""Idempotency: a transaction_id that was decided before gets the same decision again.

Decisions are looked up in memory first, then in the database. Quarantined rows have a separate id
space: an untrusted caller can neither take an id before its owner sends it, nor read the decision
about a row that another caller sent.

The payload has to be the same, too. The request with its defaults is compared with the stored
transaction, column by column, so a default that was omitted and the same value sent are one
payload. Values that the service fills in again for each request are compared by how they were made:
an id that was generated matches a generated one, and an event time that follows the clock matches
the clock of then.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel
from sqlalchemy import (
    ARRAY,
    Engine,
    FromClause,
    Select,
    String,
    any_,
    bindparam,
    column,
    func,
    select,
)

from api.http.problems import IDEMPOTENCY_CONFLICT, VERSION_UNKNOWN, Problem
from api.journal.entries import (
    DEFAULT_FORMAT,
    Decided,
    RecordFormat,
    quarantine_key,
    quarantined_id,
)
from shared.clock import MICROS_PER_SECOND
from shared.contracts.http import FieldProblem
from shared.features.fetch import fetch_from
from shared.tables.engine import database_errors, to_json
from shared.tables.reads import ReadGuard, standing_of
from shared.tables.transaction_store import TRANSACTIONS
from shared.transaction import GENERATED_PREFIX, Label
from shared.usecase.rows import RowFields, RowStore
from shared.usecase.serving import FeatureSet, ServedModel

ToTransaction = Callable[[BaseModel, int], Any]

# Longest time between a request's event time and its ingestion time: rows of one user wait
# for each other in threads.
_TURN_US = 60 * MICROS_PER_SECOND


_CachedRecord = tuple[bytes, ServedModel]


class DecisionCache:
    """Decisions the database does not have yet, and the last few thousand it has.

    The first part is bounded by the journal, the second by `capacity`.
    """

    def __init__(self, capacity: int, records: RecordFormat = DEFAULT_FORMAT) -> None:
        self._capacity = capacity
        self._format = records
        self._pending: dict[str, _CachedRecord] = {}
        self._stored: OrderedDict[str, _CachedRecord] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, transaction_id: str) -> Decided | None:
        return self.among((transaction_id,)).get(transaction_id)

    def values(self, transaction_id: str) -> dict[str, Any] | None:
        """All columns of a decision that the database does not have yet."""
        with self._lock:
            kept = self._pending.get(transaction_id)
        if kept is None:
            return None
        content = self._format.decode(kept[0])
        if isinstance(content, Label):
            return None
        return dict(zip(self._format.columns, content, strict=True))

    def among(self, transaction_ids: Iterable[str]) -> dict[str, Decided]:
        """The stored decisions of those of these ids that are known."""
        found: dict[str, _CachedRecord] = {}
        pending, stored = self._pending, self._stored
        with self._lock:
            for transaction_id in transaction_ids:
                if transaction_id in pending:
                    found[transaction_id] = pending[transaction_id]
                elif transaction_id in stored:
                    stored.move_to_end(transaction_id)
                    found[transaction_id] = stored[transaction_id]
        return {name: self._decided(*kept) for name, kept in found.items()}

    def _decided(self, record: bytes, served: ServedModel) -> Decided:
        content = self._format.decode(record)
        if isinstance(content, Label):
            raise TypeError("a label was kept where a decision belongs")
        return self._format.decided_from_record(content, served.thresholds)

    def put(self, decisions: Iterable[tuple[str, bytes, ServedModel]]) -> None:
        """Keep decisions by their ids, as the journal has them."""
        with self._lock:
            for transaction_id, record, served in decisions:
                self._pending[transaction_id] = record, served

    def is_pending(self, transaction_id: str) -> bool:
        with self._lock:
            return transaction_id in self._pending

    def drop(self, transaction_ids: Iterable[str]) -> None:
        """Forget decisions that do not stand: the database has other ones under these ids."""
        with self._lock:
            for transaction_id in transaction_ids:
                self._pending.pop(transaction_id, None)

    def stored(self, transaction_ids: Iterable[str]) -> None:
        """The database has these now."""
        with self._lock:
            for transaction_id in transaction_ids:
                kept = self._pending.pop(transaction_id, None)
                if kept is not None:
                    self._stored[transaction_id] = kept
            while len(self._stored) > self._capacity:
                self._stored.popitem(last=False)


class PastDecision(NamedTuple):
    """A transaction that was decided before.

    Attributes:
        decided: enough to give the same answer again; None where it can be given no more.
        unknown_version: the version that decided, where this host does not have it: without its
            thresholds the answer cannot be given.
    """

    transaction: Any
    decided: Decided | None
    unknown_version: str | None = None


Thresholds = Callable[[str], Mapping[str, float] | None]


class DecisionLookup:
    """Finds what was decided before; finds nothing while the database is away.

    Keys are transaction_ids, or those of `quarantine_key` for the log of quarantined rows.
    """

    def __init__(
        self,
        engine: Engine,
        feature_set: FeatureSet,
        thresholds: Thresholds,
        records: RecordFormat = DEFAULT_FORMAT,
    ) -> None:
        self._engine = engine
        self._format = records
        self._id = records.columns[0]
        self._feature_set = feature_set
        self._thresholds = thresholds
        self._fetch = fetch_from(engine)
        self._guard = ReadGuard(standing=standing_of(engine))
        self._takes_lists = engine.dialect.name == "postgresql"
        those = _those_of_a_list if self._takes_lists else _those_of_a_json_list
        self._stored = those(records.rows.decided_ids(quarantined=False), self._id)
        self._quarantined = those(records.rows.decided_ids(quarantined=True), self._id)

    def find(self, key: str) -> PastDecision | None:
        """The decision stored under this key, if any."""
        return self._guard.read(partial(self._read, key), None)

    def stored(self, keys: Sequence[str]) -> Sequence[str]:
        """The subset of keys whose decisions are in the database, read in one query."""
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

    def _read(self, key: str) -> PastDecision | None:
        quarantined = quarantined_id(key)
        table = self._format.rows.decided(quarantined=quarantined is not None)
        row_id = key if quarantined is None else quarantined
        query = select(table).where(table.c[self._id] == row_id)
        with database_errors("read a decision"), self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        # The vector of another feature set gives no response; the row still counts once.
        has_vector = row["feature_vector"] is not None and bool(row["component_scores"])
        if not has_vector or not self._feature_set.names_of(row["feature_set_version"]):
            return PastDecision(self._format.rows.row(dict(row)), None)
        thresholds = self._thresholds(row["model_version"])
        if thresholds is None:
            return PastDecision(self._format.rows.row(dict(row)), None, row["model_version"])
        decided = self._format.decided_from_row(dict(row), thresholds)
        return PastDecision(decided.transaction, decided)


def _those_of_a_list(table: FromClause, id_column: str) -> Select[Any]:
    ids = bindparam("ids", type_=ARRAY(String))
    return select(table.c[id_column]).where(table.c[id_column] == any_(ids))


def _those_of_a_json_list(table: FromClause, id_column: str) -> Select[Any]:
    """One bound value however many ids there are: SQLite limits the number of values."""
    each = func.json_each(bindparam("ids")).table_valued(column("value"))
    return select(table.c[id_column]).where(table.c[id_column].in_(select(each.c.value)))


class IdempotencyStore:
    """Past decisions: from memory first, the others from the database in one query."""

    def __init__(self, cache: DecisionCache, lookup: DecisionLookup) -> None:
        self._cache = cache
        self._lookup = lookup

    def among(self, transaction_ids: Sequence[str]) -> dict[str, PastDecision]:
        """The earlier decisions of those of these ids that have one."""
        if not transaction_ids:
            return {}
        kept = self._cache.among(transaction_ids)
        known = {name: PastDecision(decided.transaction, decided) for name, decided in kept.items()}
        unknown = [name for name in transaction_ids if name not in known]
        for name in self._lookup.stored(unknown):
            found = self._lookup.find(name)
            if found is not None:
                known[name] = found
        return known


def conflicting_fields(
    request: BaseModel,
    sent: Any,
    first: Any,
    to_transaction: ToTransaction,
    rows: RowStore = TRANSACTIONS,
) -> list[str]:
    """Names of the fields by which a request differs from what was decided under its id.

    `sent` is the row that the request stands for now, `first` the one that was decided.
    """
    differing = {
        name: (ours, theirs)
        for name, ours, theirs in zip(
            rows.columns, rows.values(sent), rows.values(first), strict=True
        )
        if ours != theirs and name != "ingested_at"
    }
    if "event_time" in differing and _is_clock_of_then(request, sent, first, to_transaction):
        del differing["event_time"]
    fields = {rows.field_of(name): values for name, values in differing.items()}
    return [
        name
        for name, values in fields.items()
        if not (getattr(request, name, None) is None and _are_generated(values))
    ]


def decided_elsewhere(version: str) -> Problem:
    """Another host decided the row, with a version that this one does not have, or has no more."""
    detail = f"this row was decided by version {version}, which this host does not have"
    return Problem(VERSION_UNKNOWN, detail, headers={"Retry-After": "5"})


def conflict(request: BaseModel, fields: list[str], named: RowFields) -> Problem:
    """The answer to a payload that differs; names the fields and shows no values.

    For another entity only that field is named: the list of matching fields would let an attacker
    reconstruct a decision field by field.
    """
    differing = [named.entity] if named.entity in fields else fields
    detail = f"this {named.row_id} was decided before with another {', '.join(map(str, differing))}"
    remedy = f"send the payload as it was first sent, or another {named.row_id}"
    errors = [
        FieldProblem(field=str(name), problem=_own_value(request, str(name)), remedy=remedy)
        for name in differing
    ]
    return Problem(IDEMPOTENCY_CONFLICT, detail, errors=errors)


def _is_clock_of_then(
    request: BaseModel, sent: Any, first: Any, to_transaction: ToTransaction
) -> bool:
    """True if the event time follows the clock, now and at the first request."""
    try:
        then_us = to_transaction(request, first.ingested_at_us).event_time_us
    except ValueError:  # a fixed instant, too far in the future at that time
        return False
    follows_clock: bool = then_us != sent.event_time_us
    return follows_clock and 0 <= then_us - first.event_time_us <= _TURN_US


def _are_generated(values: tuple[Any, Any]) -> bool:
    return all(isinstance(value, str) and value.startswith(GENERATED_PREFIX) for value in values)


def _own_value(request: BaseModel, name: str) -> str:
    if name not in request.model_fields_set:
        return "not sent, and its default is not what was decided"
    value = orjson.dumps(request.model_dump(mode="json", include={name})[name]).decode()
    return f"{value} is not what was decided"
