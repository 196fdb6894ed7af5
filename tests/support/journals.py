"""Journals, what is written to them, and what comes of a drain."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import usecases
from api.journal.drain import DrainEvents
from api.journal.entries import COLUMNS, encode_row
from api.journal.journal import Journal
from api.journal.sink import Stored

FEATURES = usecases.load_serving(usecases.DEFAULT).feature_set


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


def decided(name: str, **changes: Any) -> bytes:
    """A decision of the default use case."""
    said = {"feature_set_version": FEATURES.version, "score": 0.5, "latency_ms": 1.0}
    return row(name, **(said | changes))


def journal_of(folder: Path, *records: bytes) -> Path:
    """The folder as a killed process left it."""
    journal = Journal(folder, 2**20)
    journal.open()
    journal.append(records)
    journal.close()
    return folder
