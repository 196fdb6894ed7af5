"""Training runs: asking for one, and what became of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.tables.runs import RunStatus


class RunRequested(BaseModel):
    """The run exists; the scheduler starts it within seconds."""

    run_id: int
    status: RunStatus


class CancelRequest(BaseModel):
    """The reason for ending a run."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the disk is needed"}]}
    )

    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")


class RunCancelled(BaseModel):
    """The run and its status before; one in progress ends within seconds."""

    run_id: int
    status: RunStatus


class ScheduleRequest(BaseModel):
    """A change of when models are retrained, and why; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"interval": "weekly sunday 03:00", "reason": "labels come on Saturday"}]
        },
    )

    interval: str | None = Field(
        default=None, max_length=64, description="1D, 1W, a cron expression, `daily 03:00` ..."
    )
    is_enabled: bool | None = Field(
        default=None, strict=True, description="false: no due instant starts a run"
    )
    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")


class ScheduleChanged(BaseModel):
    """The schedule as it is configured now; in force within ten seconds."""

    interval: str
    is_enabled: bool


class ForcedRunRequest(BaseModel):
    """Train although the champion is fresh, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "a new shop has opened"}]}
    )

    reason: str = Field(
        min_length=3, max_length=500, description="Kept with the run, and in the audit trail"
    )


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
    forced_by: str | None = Field(
        default=None, description="Who forced the run although the champion was fresh"
    )
    forced_reason: str | None = None
    arguments: Any = Field(
        default=None, description="Arguments of the job, such as days and interval of a replay"
    )


class Runs(BaseModel):
    """Newest first."""

    runs: list[RunView]


class CandidateRecord(BaseModel):
    """The head of `verdicts.json`, which the scheduler leaves beside each candidate."""

    status: str
    run_id: int
