"""The records of the journal: decisions and labels, encoded and decoded.

A decision is a short header, its id, the vector as served and the other columns as one JSON
list, in which JSON columns are text, as the table takes them: written once, in the request, and
turned into a row by the drain without being looked into. A label is JSON, and so were decisions
of older versions, which are still understood.
"""

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson

from shared.tables.transaction_store import TRANSACTIONS
from shared.transaction import Label
from shared.usecase.rows import RowStore
from shared.usecase.serving import Answer, FloatVector, ServedModel

# Kind 1 had lists and objects in the JSON columns; kinds 1 and 2 lacked the sender.
_OBJECTS, _UNSENT, _DECISION, _QUARANTINED = 1, 2, 3, 4
# kind, length of the id, length of the vector; a JSON record begins with a brace instead
_HEADER = struct.Struct("<BHH")
_unpack = _HEADER.unpack_from

_DECISION_COLUMNS = (
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
"""Columns behind those of the row; the vector is the last of a record."""

_JSON_COLUMNS = ("component_scores", "matched_rules", "reason_codes")
_NOTHING = "[]"
_VECTOR = np.dtype("<f4")

DecisionRecord = tuple[Any, ...]
"""Values in the order of `RecordFormat.columns`; JSON columns are objects."""

LogRow = tuple[Any, ...]
"""The same with JSON columns as text."""


class QuarantinedLogRow(tuple[Any, ...]):
    """A quarantined `LogRow`: not history, not training data, in no window."""

    __slots__ = ()


class Decided(NamedTuple):
    """A scored row: enough to give the same answer again.

    Attributes:
        transaction: the row, as its use case has it.
        sent_by: the name of the caller who sent it; None where that was not recorded.
    """

    transaction: Any
    vector: FloatVector
    scores: FloatVector
    served: ServedModel
    sent_by: str | None = None


def encode_row(values: LogRow, vector: bytes, *, is_quarantined: bool = False) -> bytes:
    """The record of these values, all but the vector."""
    transaction_id = values[0].encode()
    kind = _QUARANTINED if is_quarantined else _DECISION
    header = _HEADER.pack(kind, len(transaction_id), len(vector))
    return b"".join((header, transaction_id, vector, orjson.dumps(values)))


def encode_label(label: Label) -> bytes:
    return orjson.dumps({"label": label})


def is_quarantined(payload: bytes) -> bool:
    """True if a record is a decision about a quarantined row."""
    return payload[:1] == b"\x04"


# transaction ids contain no NUL
_QUARANTINED_KEY = "\0"


def quarantine_key(transaction_id: str) -> str:
    """The key of the quarantined decision of this id."""
    return _QUARANTINED_KEY + transaction_id


def quarantined_id(key: str) -> str | None:
    """The transaction_id of a quarantined decision's key; None for other keys."""
    return key[1:] if key[:1] == _QUARANTINED_KEY else None


def key_of(row: LogRow) -> str:
    """The idempotency key of a decision: quarantined rows have an id space of their own."""
    return quarantine_key(row[0]) if isinstance(row, QuarantinedLogRow) else row[0]


class RecordFormat:
    """Records of one use case: what a decision's values are, by the columns of its rows."""

    def __init__(self, rows: RowStore) -> None:
        self.rows = rows
        self.columns = (*rows.columns, *_DECISION_COLUMNS)
        self.version_at = self.columns.index("model_version")
        self._json_at = tuple(map(self.columns.index, _JSON_COLUMNS))
        values = len(self.columns) - 1
        # number of values by kind of record: later kinds append theirs
        self._values_of = {
            _OBJECTS: values - 1,
            _UNSENT: values - 1,
            _DECISION: values,
            _QUARANTINED: values,
        }

    def encode_decision(
        self,
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
            *self.rows.values(decided.transaction),
            answer.score,
            _to_text(dict(zip(served.components, decided.scores.tolist(), strict=True))),
            answer.decision,
            _to_text(answer.matched_rules) if answer.matched_rules else _NOTHING,
            _to_text(answer.reason_codes) if answer.reason_codes else _NOTHING,
            served.version,
            feature_set_version,
            latency_ms,
            decided.sent_by,
        )
        vector = decided.vector.astype(_VECTOR, copy=False).tobytes()
        return encode_row(values, vector, is_quarantined=is_quarantined)

    def decode(self, payload: bytes) -> DecisionRecord | Label:
        """Decode a record: a decision with its vector as bytes, or a label.

        Raises:
            ValueError: this program did not write the record.
        """
        row = self.decode_row(payload)
        if isinstance(row, Label):
            return row
        return self._with_json(row, orjson.loads)

    def decode_row(self, payload: bytes) -> LogRow | Label:
        """Values for the writer, the vector as bytes, or a label; a `QuarantinedLogRow` is one.

        Raises:
            ValueError: this program did not write the record, or for another use case.
        """
        if payload[:1] == b"{":
            return self._decode_object(payload)
        try:
            kind, id_bytes, vector_bytes = _unpack(payload)
        except struct.error as error:  # too short
            raise ValueError("the record is neither a decision nor a label") from error
        begin = _HEADER.size + id_bytes
        end = begin + vector_bytes
        values = orjson.loads(payload[end:]) if kind in self._values_of else ()
        if len(values) != self._values_of.get(kind):
            raise ValueError("the record is neither a decision nor a label")
        if kind in (_DECISION, _QUARANTINED):
            row = (*values, payload[begin:end])
            return row if kind == _DECISION else QuarantinedLogRow(row)
        row = (*values, None, payload[begin:end])
        return row if kind == _UNSENT else self._with_json(row, _to_text)

    def _decode_object(self, payload: bytes) -> LogRow | Label:
        content: dict[str, dict[str, Any]] = orjson.loads(payload)
        match content:
            case {"label": dict(said)}:
                return Label(**said)
            case {"decision": {"feature_vector": str(vector), "component_scores": dict()} as row}:
                row["feature_vector"] = base64.b64decode(vector)
                return self._with_json(tuple(map(row.get, self.columns)), _to_text)
            case _:
                raise ValueError("the record is neither a decision nor a label")

    def _with_json(self, row: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
        """The row with its JSON columns as text, or parsed."""
        values = list(row)
        for at in self._json_at:
            if values[at] is not None:
                values[at] = change(values[at])
        return tuple(values)

    def decided_from_record(
        self, record: DecisionRecord, thresholds: Mapping[str, float]
    ) -> Decided:
        """The scored row in a record of the journal."""
        return self.decided_from_row(dict(zip(self.columns, record, strict=True)), thresholds)

    def decided_from_row(self, row: Mapping[str, Any], thresholds: Mapping[str, float]) -> Decided:
        """The scored row in a row of a table."""
        scores: dict[str, float] = row["component_scores"]
        return Decided(
            self.rows.row(row),
            np.frombuffer(row["feature_vector"], dtype="<f4"),
            np.array(list(scores.values()), dtype=np.float32),
            ServedModel(row["model_version"], tuple(scores), thresholds),
            row["sent_by"],
        )


def _to_text(value: Any) -> str:
    return orjson.dumps(value).decode()


DEFAULT_FORMAT = RecordFormat(TRANSACTIONS)
"""Records of the built-in use case, whose tables are part of the shared schema."""

COLUMNS = DEFAULT_FORMAT.columns
VERSION = DEFAULT_FORMAT.version_at
encode_decision = DEFAULT_FORMAT.encode_decision
decode = DEFAULT_FORMAT.decode
decode_row = DEFAULT_FORMAT.decode_row
decided_from_record = DEFAULT_FORMAT.decided_from_record
decided_from_row = DEFAULT_FORMAT.decided_from_row
