"""The live version, every known version, and the requests that change the live version."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from shared.contracts.people import Person
from shared.contracts.rollouts import EndedView, Mode, RolloutView

_REVOCATION: JsonDict = {"version": "1.0.3", "reason": "trained on rows that were tampered with"}


class ModelSummary(BaseModel):
    """One version that was accepted at some time."""

    version: str
    state: str = Field(
        description="serving, fallback, on-trial, stored, rolled-back, revoked or removed"
    )
    accepted_at: str
    last_activated_at: str | None
    rolled_back_at: str | None
    rolled_back_reason: str | None
    revoked_at: str | None
    revoked_reason: str | None
    sha256: str
    signed_by: str
    parent_version: str | None
    size_bytes: int | None
    metrics: dict[str, float | None] | None


class Models(BaseModel):
    """Newest first; versions whose files were removed stay listed."""

    models: list[ModelSummary]


class CurrentModel(BaseModel):
    """The version that is served and where it comes from."""

    version: str
    fallback: str | None = Field(description="Target of a rollback without a version")
    newest_accepted: str | None = Field(description="A push has to be newer than this")
    activated_at: str
    sha256: str
    created_at: str
    description: str
    components: list[str]
    feature_set_version: str
    feature_names: list[str]
    thresholds: dict[str, float]
    metrics: dict[str, float | None]
    training_data: dict[str, Any]
    parent_version: str | None
    frameworks: dict[str, str]
    rollout: RolloutView | None = Field(description="The version on trial, if there is one")
    last_rollout: EndedView | None


class NotFollowing(BaseModel):
    """A worker that does not serve the version, and why."""

    worker: int
    reason: str


class WorkersView(BaseModel):
    """The number of workers that serve the version."""

    serving: int
    total: int
    failed: list[NotFollowing]


class ModelChanged(BaseModel):
    """The version that is live, or on trial, after the request."""

    version: str
    previous: str | None
    activated_at: str = Field(description="RFC 3339, UTC")
    workers: WorkersView
    partial: bool = Field(description="Some worker serves another version")
    owed: bool = Field(
        default=False,
        description="The store (STORE_URL) is away: this host has changed, and the other hosts "
        "follow when it is back",
    )
    rollout: Mode = Field(
        default=Mode.IMMEDIATE,
        description="With `shadow` and `canary`: `version` is on trial, `previous` serves on",
    )


class RollbackRequest(BaseModel):
    """The target version of a rollback, and the reason."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "alert rate doubled since the promotion"}]},
    )

    version: str | None = Field(
        default=None,
        max_length=64,
        description="Left out: end a rollout if one is on, else the version served before",
    )
    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")
    person: Person | None = None
    leaving: str | None = Field(
        default=None,
        max_length=64,
        description="Only if this version serves; otherwise 409 `version-changed`",
    )
    not_after: AwareDatetime | None = Field(
        default=None, description="Only until this instant; later 409 `order-expired`"
    )


class RevokeRequest(BaseModel):
    """The version to revoke, and the reason."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_REVOCATION]})

    version: str = Field(max_length=64)
    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")
    person: Person | None = None


class Revoked(BaseModel):
    """The version that is never served again, and the one that serves."""

    revoked: str
    version: str = Field(description="What is served now")
