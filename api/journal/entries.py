"""What a record of the journal says: a decision or a label, as JSON."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from shared.transaction import Label, Transaction
from shared.usecase.serving import Answer, FloatVector, ServedModel


@dataclass(frozen=True, slots=True)
class Decided:
    """A scored transaction: enough to give the same answer again."""

    transaction: Transaction
    vector: FloatVector
    scores: FloatVector
    served: ServedModel


def decision_row(
    decided: Decided, answer: Answer, feature_set_version: str, latency_ms: float
) -> dict[str, Any]:
    """Columns of apitransactionlogs; the vector holds the whole feature set, in its order."""
    transaction, served = decided.transaction, decided.served
    return {
        "transaction_id": transaction.transaction_id,
        "user_id": transaction.user_id,
        "event_time": transaction.event_time_us,
        "ingested_at": transaction.ingested_at_us,
        "amount": transaction.amount,
        "currency": transaction.currency,
        "merchant_id": transaction.merchant_id,
        "transaction_type": transaction.transaction_type,
        "merchant_category": transaction.merchant_category,
        "channel": transaction.channel,
        "country": transaction.country,
        "lat": transaction.lat,
        "lon": transaction.lon,
        "home_lat": transaction.home_lat,
        "home_lon": transaction.home_lon,
        "device_id": transaction.device_id,
        "utc_offset_min": transaction.utc_offset_min,
        "score": answer.score,
        "component_scores": dict(zip(served.components, decided.scores.tolist(), strict=True)),
        "decision": answer.decision,
        "matched_rules": list(answer.matched_rules),
        "reason_codes": [dict(reason) for reason in answer.reason_codes],
        "model_version": served.version,
        "feature_set_version": feature_set_version,
        "feature_vector": base64.b64encode(decided.vector.astype("<f4").tobytes()).decode(),
        "latency_ms": latency_ms,
    }


def encode_decision(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"decision": row})


def encode_label(label: Label) -> bytes:
    return orjson.dumps({"label": label})


def decode(payload: bytes) -> dict[str, Any] | Label:
    """A row for the writer, its vector as bytes, or a label.

    Raises:
        ValueError: this program did not write the record.
    """
    content: dict[str, dict[str, Any]] = orjson.loads(payload)
    match content:
        case {"label": dict(said)}:
            return Label(**said)
        case {"decision": {"feature_vector": str(vector), "component_scores": dict()} as row}:
            return row | {"feature_vector": base64.b64decode(vector)}
        case _:
            raise ValueError("the record is neither a decision nor a label")


def decided_from_row(row: Mapping[str, Any], thresholds: Mapping[str, float]) -> Decided:
    """The scored transaction that a row, of the journal or of the database, tells of."""
    scores: dict[str, float] = row["component_scores"]
    return Decided(
        transaction_from_row(row),
        np.frombuffer(row["feature_vector"], dtype="<f4"),
        np.array(list(scores.values()), dtype=np.float32),
        ServedModel(row["model_version"], tuple(scores), thresholds),
    )


def transaction_from_row(row: Mapping[str, Any]) -> Transaction:
    return Transaction(
        transaction_id=row["transaction_id"],
        user_id=row["user_id"],
        event_time_us=row["event_time"],
        ingested_at_us=row["ingested_at"],
        amount=row["amount"],
        currency=row["currency"],
        merchant_id=row["merchant_id"],
        transaction_type=row["transaction_type"],
        merchant_category=row["merchant_category"],
        channel=row["channel"],
        country=row["country"],
        lat=row["lat"],
        lon=row["lon"],
        home_lat=row["home_lat"],
        home_lon=row["home_lon"],
        device_id=row["device_id"],
        utc_offset_min=row["utc_offset_min"],
    )
