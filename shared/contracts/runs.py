"""Training runs: asking for one, and what became of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.tables.runs import RunStatus


class RunRequested(BaseModel):
    """The run exists; the scheduler starts it within seconds."""

    run_id: int
    status: RunStatus


class RunView(BaseModel):
    """One training run; instants are RFC 3339."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())

    run_id: int
    run_date: str
    job: str
    scheduled_for: str
    status: RunStatus
    code: str | None
    message: str | None
    requested_by: str | None
    started_at: str | None
    finished_at: str | None
    model_version: str | None
    champion_version: str | None
    data_size: int | None
    metrics: Any
    verdicts: Any
    decision: Any
    steps: Any
    attempts: int
    cancel_requested_by: str | None


class Runs(BaseModel):
    """Newest first."""

    runs: list[RunView]


class CandidateRecord(BaseModel):
    """The head of `verdicts.json`, which the scheduler leaves beside each candidate."""

    status: str
    run_id: int
