"""Idempotency: a transaction_id that was decided before gets the same decision again.

Decisions are looked up in memory first, then in the database. Quarantined rows have an id space of
their own: an untrusted caller can neither take an id before its owner sends it, nor read the
decision about a row that another caller sent.

The payload has to be the same, too. What a request stands for is compared with the transaction
that was stored, column by column, so a default that was left out and the same value sent are one
payload. Values that the service fills in anew for each request are compared by how they were made:
an id that was generated matches a generated one, and an event time that follows the clock matches
the clock of then.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel
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

from api.http.problems import IDEMPOTENCY_CONFLICT, Problem
from api.journal.entries import (
    Decided,
    decided_from_record,
    decided_from_row,
    decode,
    transaction_from_row,
)
from shared.clock import MICROS_PER_SECOND
from shared.contracts.problems import FieldProblem
from shared.features.fetch import fetch_from
from shared.features.guard import ReadGuard
from shared.tables.engine import database_errors, to_json
from shared.tables.read_standing import standing_of
from shared.tables.schema import api_transaction_logs, quarantined_transaction_logs
from shared.transaction import ATTRIBUTE_OF, GENERATED_PREFIX, Label, Transaction
from shared.usecase.serving import FeatureSet, ServedModel

# no transaction_id holds a NUL
_QUARANTINED = "\0"

ToTransaction = Callable[[BaseModel, int], Transaction]

ENTITY = "user_id"
# Time between a request's event time and its place in the order of ingestion, at most: rows of
# one user wait for each other in threads.
_TURN_US = 60 * MICROS_PER_SECOND
_COLUMNS = {name: attribute for name, attribute in ATTRIBUTE_OF.items() if name != "ingested_at"}
_values_of = attrgetter(*_COLUMNS.values())
_REMEDY = "send the payload as it was first sent, or another transaction_id"


def quarantine_key(transaction_id: str) -> str:
    """The key of the quarantined decision of this id."""
    return _QUARANTINED + transaction_id


def quarantined_id(key: str) -> str | None:
    """The transaction_id of a quarantined decision's key; None for other keys."""
    return key[1:] if key[:1] == _QUARANTINED else None


_CachedRecord = tuple[bytes, ServedModel]


class DecisionCache:
    """Decisions the database does not have yet, and the last few thousand it has.

    The first part is bounded by the journal, the second by `capacity`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: dict[str, _CachedRecord] = {}
        self._stored: OrderedDict[str, _CachedRecord] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, transaction_id: str) -> Decided | None:
        return self.among((transaction_id,)).get(transaction_id)

    def among(self, transaction_ids: Iterable[str]) -> dict[str, Decided]:
        """What is kept about those of these ids that are known."""
        found: dict[str, _CachedRecord] = {}
        pending, stored = self._pending, self._stored
        with self._lock:
            for transaction_id in transaction_ids:
                if transaction_id in pending:
                    found[transaction_id] = pending[transaction_id]
                elif transaction_id in stored:
                    stored.move_to_end(transaction_id)
                    found[transaction_id] = stored[transaction_id]
        return {transaction_id: _decided(*kept) for transaction_id, kept in found.items()}

    def put(self, decisions: Iterable[tuple[str, bytes, ServedModel]]) -> None:
        """Keep decisions by their ids, as the journal has them."""
        with self._lock:
            for transaction_id, record, served in decisions:
                self._pending[transaction_id] = record, served

    def is_pending(self, transaction_id: str) -> bool:
        with self._lock:
            return transaction_id in self._pending

    def stored(self, transaction_ids: Iterable[str]) -> None:
        """The database has these now."""
        with self._lock:
            for transaction_id in transaction_ids:
                kept = self._pending.pop(transaction_id, None)
                if kept is not None:
                    self._stored[transaction_id] = kept
            while len(self._stored) > self._capacity:
                self._stored.popitem(last=False)


def _decided(record: bytes, served: ServedModel) -> Decided:
    content = decode(record)
    if isinstance(content, Label):
        raise TypeError("a label was kept where a decision belongs")
    return decided_from_record(content, served.thresholds)


class PastDecision(NamedTuple):
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

    def __init__(self, engine: Engine, feature_set: FeatureSet, thresholds: Thresholds) -> None:
        self._engine = engine
        self._feature_set = feature_set
        self._thresholds = thresholds
        self._fetch = fetch_from(engine)
        self._guard = ReadGuard(standing=standing_of(engine))
        self._takes_lists = engine.dialect.name == "postgresql"
        those = _those_of_a_list if self._takes_lists else _those_of_a_json_list
        self._stored = those(api_transaction_logs)
        self._quarantined = those(quarantined_transaction_logs)

    def find(self, key: str) -> PastDecision | None:
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

    def _read(self, key: str) -> PastDecision | None:
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
        if not has_vector or not self._feature_set.names_of(row["feature_set_version"]):
            return PastDecision(transaction_from_row(dict(row)), None)
        decided = decided_from_row(dict(row), self._thresholds(row["model_version"]))
        return PastDecision(decided.transaction, decided)


def _those_of_a_list(table: Table) -> Select[Any]:
    ids = bindparam("ids", type_=ARRAY(String))
    return select(table.c.transaction_id).where(table.c.transaction_id == any_(ids))


def _those_of_a_json_list(table: Table) -> Select[Any]:
    """One bound value however many ids there are: SQLite limits the number of values."""
    each = func.json_each(bindparam("ids")).table_valued(column("value"))
    return select(table.c.transaction_id).where(table.c.transaction_id.in_(select(each.c.value)))


class IdempotencyStore:
    """Past decisions: from memory first, the others from the database in one query."""

    def __init__(self, cache: DecisionCache, lookup: DecisionLookup) -> None:
        self._cache = cache
        self._lookup = lookup

    def among(self, transaction_ids: Sequence[str]) -> dict[str, PastDecision]:
        """What is known of those of these ids that were decided before."""
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
    request: BaseModel, sent: Transaction, first: Transaction, to_transaction: ToTransaction
) -> list[str]:
    """Names of the fields by which a request differs from what was decided under its id.

    `sent` is the transaction that the request stands for now, `first` the one that was decided.
    """
    pairs = zip(_COLUMNS, _values_of(sent), _values_of(first), strict=True)
    differing = [name for name, ours, theirs in pairs if ours != theirs]
    if "event_time" in differing and _is_clock_of_then(request, sent, first, to_transaction):
        differing.remove("event_time")
    return [
        name
        for name in differing
        if not (getattr(request, name, None) is None and _are_generated(name, sent, first))
    ]


def conflict(request: BaseModel, fields: list[str]) -> Problem:
    """The answer to a payload that differs; shows nothing of the first but the fields' names.

    A request for another user learns of that field alone: which of the others are right would let a
    stranger reconstruct a decision, one field after the other.
    """
    told = [ENTITY] if ENTITY in fields else fields
    detail = f"this transaction_id was decided before with another {', '.join(told)}"
    errors = [
        FieldProblem(field=name, problem=_own_value(request, name), remedy=_REMEDY) for name in told
    ]
    return Problem(IDEMPOTENCY_CONFLICT, detail, errors=errors)


def _is_clock_of_then(
    request: BaseModel, sent: Transaction, first: Transaction, to_transaction: ToTransaction
) -> bool:
    """Whether the request's event time follows the clock, and would have been the first's then."""
    try:
        then_us = to_transaction(request, first.ingested_at_us).event_time_us
    except ValueError:  # a fixed instant, too far ahead of then
        return False
    follows_clock = then_us != sent.event_time_us
    return follows_clock and 0 <= then_us - first.event_time_us <= _TURN_US


def _are_generated(name: str, *transactions: Transaction) -> bool:
    values = [getattr(transaction, _COLUMNS[name]) for transaction in transactions]
    return all(isinstance(value, str) and value.startswith(GENERATED_PREFIX) for value in values)


def _own_value(request: BaseModel, name: str) -> str:
    if name not in request.model_fields_set:
        return "not sent, and its default is not what was decided"
    value = orjson.dumps(request.model_dump(mode="json", include={name})[name]).decode()
    return f"{value} is not what was decided"
