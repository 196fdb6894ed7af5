"""Training runs and replays: asking for one, and what became of it."""

import re
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.clock import to_micros
from shared.intervals import Interval
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


REPLAY = "replay"
"""The name of a replay's job in ModelTrainingRuns."""

MAX_ROUNDS = 400
"""Rounds of a replay that the scheduler plays; `understudy replay` plays more."""

_EARLIEST_YEAR, _LATEST_YEAR = 1900, 2500
_METRIC = re.compile(r"[a-z][a-z0-9_@]{0,63}")


def instant_us(text: str) -> int:
    """A day, or an instant; without a zone it is UTC.

    Raises:
        ValueError: the text is neither, or of a time that nothing is due in.
    """
    try:
        moment = datetime.fromisoformat(text)
        at_us = to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text[:40]!r} is not a date; write 2026-01-31 or 2026-01-31T03:00:00+01:00"
        ) from error
    if not _EARLIEST_YEAR <= moment.year <= _LATEST_YEAR:
        raise ValueError(
            f"{text[:40]!r} is too far away; write a year from {_EARLIEST_YEAR} to {_LATEST_YEAR}"
        )
    return at_us


class ReplayArguments(BaseModel):
    """The replay to be played; kept with its run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    begin: str = Field(
        max_length=40, description="First day, or instant, at which a round may be due"
    )
    end: str | None = Field(
        default=None, max_length=40, description="The last one; default: that of the newest row"
    )
    every: str = Field(
        default="1W", max_length=64, description="1D, 1W, a cron expression, `daily 03:00` ..."
    )
    metric: str | None = Field(
        default=None,
        max_length=64,
        description="Metric that the policies are compared by; default: average precision, or the "
        "metric that decides where the task is not binary",
    )

    @field_validator("begin", "end")
    @classmethod
    def _is_an_instant(cls, text: str | None) -> str | None:
        if text is not None:
            instant_us(text)
        return text

    @field_validator("every")
    @classmethod
    def _is_an_interval(cls, text: str) -> str:
        return Interval.parse(text).text

    @field_validator("metric")
    @classmethod
    def _is_a_name(cls, text: str | None) -> str | None:
        if text is not None and _METRIC.fullmatch(text) is None:
            raise ValueError("write the name of a metric, such as average_precision")
        return text

    @model_validator(mode="after")
    def _ends_after_its_begin(self) -> "ReplayArguments":
        if self.end is not None and instant_us(self.end) < instant_us(self.begin):
            raise ValueError(f"end {self.end} is before begin {self.begin}")
        return self


class ReplayRequest(ReplayArguments):
    """Start a replay, and why."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"begin": "2026-01-01", "every": "2W", "reason": "is two weeks often enough?"}
            ]
        },
    )

    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")

    @property
    def arguments(self) -> dict[str, str]:
        """The part that is kept with the run."""
        return self.model_dump(exclude={"reason"}, exclude_none=True)
