"""Candidates that wait for a person, and what a person says about one."""

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.people import Person


class ApprovalView(BaseModel):
    """A candidate that passed every gate. Instants are RFC 3339 in UTC."""

    run_id: int
    version: str
    sha256: str = Field(description="Digest of the judged bundle; no other bundle is promoted")
    champion: str | None = Field(
        description="The champion it was compared with; null: the first model"
    )
    state: str = Field(description="waiting, approved, refused, expired or void")
    requested_at: str
    expires_at: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None


class ApprovalList(BaseModel):
    """Newest first."""

    approvals: list[ApprovalView]


class ApprovalRequest(BaseModel):
    """A candidate, the reason for the ruling, and the digest that the person has seen, if given."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": "1.0.3", "reason": "gains on every slice", "person": "anna"},
            ]
        },
    )

    version: str = Field(max_length=64)
    reason: str = Field(min_length=3, max_length=500, description="Goes into the audit trail")
    sha256: str | None = Field(
        default=None, max_length=64, description="Only if the candidate is this bundle; else 409"
    )
    person: Person | None = None
