"""People behind changes: their names, what they say of a candidate, and the audit trail."""

import re
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.contracts.http import PERSON

PERSON_PATTERN = r"[^\W_][\w .@'-]{0,63}"
"""1 to 64 letters, digits, blanks and a few marks; no `/`, which separates token and person."""


def _named(text: str) -> str:
    name = " ".join(text.split())
    if re.fullmatch(PERSON_PATTERN, name) is None:
        raise ValueError("write 1 to 64 letters, digits, blanks, '.', '@', \"'\" or '-'")
    return name


Person = Annotated[
    str,
    Field(
        max_length=200,
        description="Who asks for it; goes into the audit trail, as in `operator/anna`",
        examples=["anna"],
    ),
    AfterValidator(_named),
]


def person_header(person: str) -> dict[str, str]:
    """The header that names a person.

    Raises:
        ValueError: it is not a name.
    """
    return {PERSON: quote(_named(person), safe="")}


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


class AuditLine(BaseModel):
    """An attempt to change what is served.

    Attributes:
        before: the digest of the line before this one.
    """

    model_config = ConfigDict(extra="allow")

    at: str
    what: str
    who: str
    why: str
    version: str | None = None
    before: str


class AuditEntry(BaseModel):
    """One line of the trail."""

    number: int = Field(description="Counted from 1, in the order of writing")
    at: str | None
    what: str | None
    who: str | None = Field(description="A token, and a person where one was named: operator/anna")
    why: str | None
    version: str | None
    details: dict[str, Any] = Field(description="The line's other members")
    is_readable: bool = Field(description="false: a kill or a full disk left it unfinished")
    follows: bool = Field(description="false: its hash does not match the line before it")


class AuditTrailView(BaseModel):
    """Lines of the trail, newest first, and whether it is whole."""

    entries: list[AuditEntry]
    lines: int = Field(description="In all")
    is_whole: bool = Field(description="The hash chain is intact; a truncated end is not detected")
    broken: list[int] = Field(description="Numbers of the lines that break it, at most 100")
    next_before: int | None = Field(description="`before` of the next page; null: the last one")
