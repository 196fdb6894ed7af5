"""A version on trial: what GET /current_model shows of it, and POST /update_rollout."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.people import Person

SHARES = (5, 10, 25, 50)
"""The stages of a canary, in percent of users; after the last comes promotion, to all."""


class Mode(StrEnum):
    """The way a pushed version comes into service."""

    IMMEDIATE = "immediate"
    SHADOW = "shadow"
    CANARY = "canary"


class ArmMean(BaseModel):
    """A mean over rows and how sure it is."""

    mean: float
    standard_error: float = Field(description="Clustered by user: rows of one user are correlated")


class ScoreShare(BaseModel):
    """The number of scores below an edge."""

    below: float
    share: ArmMean


class ArmStatistics(BaseModel):
    """The figures of one arm in this stage."""

    users: int = Field(description="Distinct users, counted up to a bound; for the split's test")
    requests: int = Field(description="Rows of this arm, failed ones included")
    errors: int = Field(description="Rows its model failed to score")
    alerts: int
    groups: int = Field(description="Groups of users, of 64, that sent rows")
    alert_rate: ArmMean | None
    latency_ms: ArmMean | None = Field(
        description="Complete time of a row; rows of batches are not timed"
    )
    latency_p99_ms: float | None = Field(description="Upper edge of its histogram bin")
    scores: list[ScoreShare]


class RolloutArms(BaseModel):
    """Both arms of a rollout."""

    champion: ArmStatistics
    candidate: ArmStatistics


class ShadowState(BaseModel):
    """The state of the shadow processes, over all workers."""

    dropped: int = Field(description="Rows that its queue had no room for")
    restarts: int
    gave_up: str | None = Field(description="Why its process is no longer restarted")


class RolloutWorkers(BaseModel):
    """Workers that have this stage."""

    following: int
    total: int
    troubles: dict[int, str] = Field(description="Why a worker cannot try the candidate")


class RolloutView(BaseModel):
    """A version on trial beside the champion."""

    mode: Mode
    version: str
    champion: str
    share_percent: int = Field(description="Share of users who get answers of the version")
    shares: list[int] = Field(description="The stages of a canary; after the last: promotion")
    next_share: int | None
    began_at: str
    stage_since: str
    stage_seconds: float = Field(description="Seconds that the statistics of the arms cover")
    begun_by: str
    arms: RolloutArms
    shadow: ShadowState | None
    workers: RolloutWorkers


class EndedView(BaseModel):
    """The outcome of the last rollout."""

    mode: Mode
    version: str
    champion: str
    share_percent: int
    outcome: str = Field(description="promoted, aborted or superseded")
    reason: str
    who: str
    began_at: str
    ended_at: str


class Action(StrEnum):
    """The requested step of the rollout."""

    ADVANCE = "advance"
    PROMOTE = "promote"
    ABORT = "abort"


class RolloutRequest(BaseModel):
    """A step of a rollout, and why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "action": "advance",
                    "version": "1.0.2",
                    "share_percent": 10,
                    "reason": "no sign of harm at 5 %",
                }
            ]
        },
    )

    action: Action
    version: str = Field(max_length=64, description="The one that is rolled out; else 409")
    share_percent: int | None = Field(
        default=None,
        strict=True,
        description=f"With `advance`: one of {', '.join(map(str, SHARES))}, and more than now; "
        "left out: the next one",
    )
    from_share_percent: int | None = Field(
        default=None, strict=True, description="Refuse the step unless this is the share now"
    )
    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")
    person: Person | None = None


class RolloutChanged(BaseModel):
    """The state of the rollout after a change."""

    action: Action
    version: str = Field(
        description="The version that answers the users of the champion from now on"
    )
    rollout: Mode | None = Field(description="null: the rollout has ended")
    share_percent: int | None
    partial: bool = Field(description="Some worker has not followed within two seconds")
