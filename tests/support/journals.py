"""Journals, what is written to them, and what comes of a drain."""

from dataclasses import dataclass, field
from typing import Any

from api.journal.drain import DrainEvents
from api.journal.entries import COLUMNS, encode_row
from api.journal.sink import Stored


@dataclass
class Seen:
    stored: list[Stored] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def events(self) -> DrainEvents:
        return DrainEvents(self.stored.append, self.refused.append)


def row(transaction_id: str, **changes: Any) -> bytes:
    said = {
        "transaction_id": transaction_id, "user_id": "u", "event_time": 1, "ingested_at": 1,
        "amount": 1.0, "currency": "EUR", "merchant_id": "m", "transaction_type": "purchase",
        "model_version": "1.0.0", "component_scores": '{"classifier":0.5}',
    }  # fmt: skip
    return encode_row(tuple(map((said | changes).get, COLUMNS[:-1])), bytes(8))
