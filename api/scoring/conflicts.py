"""Idempotency: a transaction_id that was decided before has to come with the same payload.

What a request stands for is compared with the transaction that was stored, column by column, so
a default that was left out and the same value sent are one payload. Values that the service
fills in anew for each request are compared by how they were made: an id that was generated
matches a generated one, and an event time that follows the clock matches the clock of then.
"""

from collections.abc import Callable
from operator import attrgetter

import orjson
from pydantic import BaseModel

from api.http.problems import IDEMPOTENCY_CONFLICT, Problem
from shared.clock import MICROS_PER_SECOND
from shared.contracts.problems import FieldProblem
from shared.transaction import ATTRIBUTE_OF, GENERATED_PREFIX, Transaction

ToTransaction = Callable[[BaseModel, int], Transaction]

ENTITY = "user_id"
# Time between a request's event time and its place in the order of ingestion, at most: rows of
# one user wait for each other in threads.
_TURN_US = 60 * MICROS_PER_SECOND
_COLUMNS = {name: attribute for name, attribute in ATTRIBUTE_OF.items() if name != "ingested_at"}
_values_of = attrgetter(*_COLUMNS.values())
_REMEDY = "send the payload as it was first sent, or another transaction_id"


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

    Whoever names another user is told of that field alone: which of the others are right would
    let a stranger find a decision out, one field after the other.
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
