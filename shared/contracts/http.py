"""Names of headers, and errors as JSON (RFC 9457) with the types that clients distinguish."""

from pydantic import BaseModel, Field

BUNDLE_SIGNATURE = "X-Bundle-Signature"
FENCING_NUMBER = "X-Fencing-Number"
ROLLOUT = "X-Rollout"
MODEL_VERSION = "X-Model-Version"
PERSON = "X-Person"
"""The person in whose name a program asks for a change, percent-encoded; for the audit trail."""


PROBLEM_TYPE = "urn:understudy:problem:"
"""The prefix of every problem's `type`; its code follows."""

NO_MODEL_CODE = "no-model"


class FieldProblem(BaseModel):
    """The error of one field and its remedy."""

    field: str = Field(description="Path of the field, separated by dots; empty: the whole body")
    problem: str
    remedy: str


class ProblemBody(BaseModel):
    """The JSON of every error (RFC 9457)."""

    type: str = Field(description="Stable name of the kind of problem")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)
    trace_id: str | None = Field(
        default=None, description="The trace of the request, which the log names as well"
    )

    @property
    def code(self) -> str:
        """The part of the type that names the kind."""
        return self.type.removeprefix(PROBLEM_TYPE)
