"""One line of the audit trail, as the API writes it and commands read it."""

from pydantic import BaseModel, ConfigDict


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
