"""The audit trail, as the API writes it, tells it, and commands read it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
