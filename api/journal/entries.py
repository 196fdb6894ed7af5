"""The records of the journal: decisions and labels, encoded and decoded.

A decision is a short header, its id, the vector as served and the other columns as one JSON
list, in which JSON columns are text, as the table takes them: written once, in the request, and
turned into a row by the drain without being looked into. A label is JSON, and so were decisions
of older versions, which are still understood.
"""

import base64
import struct
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import orjson

from shared.transaction import ATTRIBUTE_OF, Label, Transaction
from shared.usecase.serving import Answer, FloatVector, ServedModel

# 1 had lists and objects in the JSON columns, 1 and 2 did not name the sender
_OBJECTS, _UNSENT, _DECISION, _QUARANTINED = 1, 2, 3, 4
# kind, bytes of the id, bytes of the vector; JSON begins with a brace, never with the kind
_HEADER = struct.Struct("<BHH")
_unpack = _HEADER.unpack_from

_values_of = attrgetter(*ATTRIBUTE_OF.values())
COLUMNS = (
    *ATTRIBUTE_OF,
    "score",
    "component_scores",
    "decision",
    "matched_rules",
    "reason_codes",
    "model_version",
    "feature_set_version",
    "latency_ms",
    "sent_by",
    "feature_vector",
)
"""Columns of apitransactionlogs in the order of a record; the vector is the last."""

VERSION = COLUMNS.index("model_version")
_VALUES = len(COLUMNS) - 1
# values by the kind of record: what a later kind has more, stands last
_VALUES_OF = {
    _OBJECTS: _VALUES - 1,
    _UNSENT: _VALUES - 1,
    _DECISION: _VALUES,
    _QUARANTINED: _VALUES,
}
_JSON_AT = tuple(map(COLUMNS.index, ("component_scores", "matched_rules", "reason_codes")))

DecisionRecord = tuple[Any, ...]
"""Values in the order of `COLUMNS`; JSON columns are objects."""

LogRow = tuple[Any, ...]
"""The same with JSON columns as text."""


class QuarantinedLogRow(tuple[Any, ...]):
    """A quarantined `LogRow`: not history, not training data, in no window."""

    __slots__ = ()


class Decided(NamedTuple):
    """A scored transaction: enough to give the same answer again.

    Attributes:
        sent_by: the name of the caller who sent it; None where that was not recorded.
    """

    transaction: Transaction
    vector: FloatVector
    scores: FloatVector
    served: ServedModel
    sent_by: str | None = None


def encode_decision(
    decided: Decided,
    answer: Answer,
    feature_set_version: str,
    latency_ms: float,
    *,
    is_quarantined: bool = False,
) -> bytes:
    """The record of a decision; its vector holds the whole feature set, in its order."""
    served = decided.served
    values = (
        *_values_of(decided.transaction),
        answer.score,
        _to_text(dict(zip(served.components, decided.scores.tolist(), strict=True))),
        answer.decision,
        _to_text(answer.matched_rules),
        _to_text(answer.reason_codes),
        served.version,
        feature_set_version,
        latency_ms,
        decided.sent_by,
    )
    vector = decided.vector.astype("<f4", copy=False).tobytes()
    return encode_row(values, vector, is_quarantined=is_quarantined)


def encode_row(values: LogRow, vector: bytes, *, is_quarantined: bool = False) -> bytes:
    """The record of these values, all but the vector."""
    transaction_id = values[0].encode()
    kind = _QUARANTINED if is_quarantined else _DECISION
    header = _HEADER.pack(kind, len(transaction_id), len(vector))
    return b"".join((header, transaction_id, vector, orjson.dumps(values)))


def encode_label(label: Label) -> bytes:
    return orjson.dumps({"label": label})


def is_quarantined(payload: bytes) -> bool:
    """Whether a record is a decision about a quarantined row."""
    return payload[:1] == b"\x04"


def decode(payload: bytes) -> DecisionRecord | Label:
    """What was decided, the vector as bytes, or a label.

    Raises:
        ValueError: this program did not write the record.
    """
    row = decode_row(payload)
    if isinstance(row, Label):
        return row
    return _with_json(row, orjson.loads)


def decode_row(payload: bytes) -> LogRow | Label:
    """Values for the writer, the vector as bytes, or a label; a `QuarantinedLogRow` is one.

    Raises:
        ValueError: this program did not write the record.
    """
    if payload[:1] == b"{":
        return _decode_object(payload)
    try:
        kind, id_bytes, vector_bytes = _unpack(payload)
    except struct.error as error:  # too short
        raise ValueError("the record is neither a decision nor a label") from error
    begin = _HEADER.size + id_bytes
    end = begin + vector_bytes
    values = orjson.loads(payload[end:]) if kind in _VALUES_OF else ()
    if len(values) != _VALUES_OF.get(kind):
        raise ValueError("the record is neither a decision nor a label")
    if kind in (_DECISION, _QUARANTINED):
        row = (*values, payload[begin:end])
        return row if kind == _DECISION else QuarantinedLogRow(row)
    row = (*values, None, payload[begin:end])
    return row if kind == _UNSENT else _with_json(row, _to_text)


def _decode_object(payload: bytes) -> LogRow | Label:
    content: dict[str, dict[str, Any]] = orjson.loads(payload)
    match content:
        case {"label": dict(said)}:
            return Label(**said)
        case {"decision": {"feature_vector": str(vector), "component_scores": dict()} as row}:
            row["feature_vector"] = base64.b64decode(vector)
            return _with_json(tuple(map(row.get, COLUMNS)), _to_text)
        case _:
            raise ValueError("the record is neither a decision nor a label")


def _with_json(row: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The row with its JSON columns as text, or as what the text says."""
    values = list(row)
    for at in _JSON_AT:
        if values[at] is not None:
            values[at] = change(values[at])
    return tuple(values)


def _to_text(value: Any) -> str:
    return orjson.dumps(value).decode()


def decided_from_record(record: DecisionRecord, thresholds: Mapping[str, float]) -> Decided:
    """The scored transaction in a record of the journal."""
    return decided_from_row(dict(zip(COLUMNS, record, strict=True)), thresholds)


def decided_from_row(row: Mapping[str, Any], thresholds: Mapping[str, float]) -> Decided:
    """The scored transaction in a row of the log."""
    scores: dict[str, float] = row["component_scores"]
    return Decided(
        transaction_from_row(row),
        np.frombuffer(row["feature_vector"], dtype="<f4"),
        np.array(list(scores.values()), dtype=np.float32),
        ServedModel(row["model_version"], tuple(scores), thresholds),
        row["sent_by"],
    )


def transaction_from_row(row: Mapping[str, Any]) -> Transaction:
    """The transaction of a row, by its columns."""
    values = {attribute: row[column] for column, attribute in ATTRIBUTE_OF.items()}
    return Transaction(**values)
