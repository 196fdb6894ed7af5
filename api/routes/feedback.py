"""POST /feedback: ground truth, stored now or journaled until the database is back."""

from functools import partial
from typing import Annotated

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.http.door import Address, add, caller
from api.http.problems import JOURNAL_FULL, Problem
from api.journal.entries import encode_label
from api.journal.journal import JournalFull
from api.scoring.decision_keys import quarantine_key
from api.service import Service
from shared.errors import DataUnavailable
from shared.keys.tokens import Role
from shared.tables.engine import database_errors, lasting_transaction
from shared.tables.writer import write_labels
from shared.transaction import Label

_MAX_LABELS = 10_000
_MAX_ELEMENTS = 5 * _MAX_LABELS
_EXAMPLE: JsonDict = {"labels": [{"transaction_id": "t-1001", "label": 1, "source": "chargeback"}]}


class LabelIn(BaseModel):
    """What turned out to be true of one transaction."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: Annotated[str, Field(min_length=1, max_length=128)]
    label: Annotated[int, Field(strict=True, ge=0, le=1)]
    source: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "feedback"


class FeedbackRequest(BaseModel):
    """Labels; the last of several for one transaction counts."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # one that is wrong is enough: all are refused, and looking on would cost more than storing
    labels: list[LabelIn] = Field(min_length=1, max_length=_MAX_LABELS, fail_fast=True)


class FeedbackAnswer(BaseModel):
    """What became of them; nothing is dropped silently."""

    stored: int = Field(description="In the database now")
    queued: int = Field(description="In the journal, on their way to the database")
    unknown: list[str] = Field(description="Nobody has seen these transactions; not kept")


def add_feedback_routes(app: FastAPI, service: Service) -> None:
    """POST /feedback."""

    def feedback(body: FeedbackRequest, request: Request) -> FeedbackAnswer:
        now_us, sent_by = service.clock.now_us(), caller(request).name
        labels = [
            Label(item.transaction_id, item.label, now_us, item.source, sent_by)
            for item in body.labels
        ]
        # Their decisions are still in the journal; labels may not overtake them.
        queued = [label for label in labels if _is_pending(service, label.transaction_id)]
        waiting = {label.transaction_id for label in queued}
        rest = [label for label in labels if label.transaction_id not in waiting]
        known: set[str] = set()
        try:
            known = _store(service, rest)
            unknown = sorted({label.transaction_id for label in rest} - known)
        except DataUnavailable:
            queued, unknown = labels, []
        _queue(service, queued)
        stored = [label for label in rest if label.transaction_id in known]
        service.hop(partial(service.source.learned, stored))
        return FeedbackAnswer(stored=len(stored), queued=len(queued), unknown=unknown)

    options = {"tags": ["scoring"], "summary": "Tell what turned out to be true"}
    limit = service.settings.batch_max_bytes
    address = Address(
        "POST", "/feedback", feedback, Role.FEEDBACK, limit, (JOURNAL_FULL,), options,
        json_elements=_MAX_ELEMENTS,
    )  # fmt: skip
    add(app, service.doorkeeper, address)


def _is_pending(service: Service, transaction_id: str) -> bool:
    is_pending = service.cache.is_pending
    return is_pending(transaction_id) or is_pending(quarantine_key(transaction_id))


def _store(service: Service, labels: list[Label]) -> set[str]:
    with database_errors("store labels"), lasting_transaction(service.engine) as connection:
        return set(write_labels(connection, labels))


def _queue(service: Service, labels: list[Label]) -> None:
    if not labels:
        return
    try:
        service.journal.append([encode_label(label) for label in labels])
    except JournalFull as error:
        detail = f"{error}; send the labels again"
        raise Problem(JOURNAL_FULL, detail, headers={"Retry-After": "5"}) from error
