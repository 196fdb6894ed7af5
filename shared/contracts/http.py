"""Headers, errors as JSON, and the reading of JSON: the parts of every exchange of programs.

Errors have the form of RFC 9457, with types that clients distinguish. Of what another program wrote
unknown members are ignored, and missing ones are named.
"""

from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from shared.errors import UnderstudyError

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


Contract = TypeVar("Contract", bound=BaseModel)
_TOLD = 3


class ContractBroken(UnderstudyError):
    """Raised when JSON of another program is not what was agreed; names the fields."""


def parse_contract(model: type[Contract], raw: bytes | str, source: str) -> Contract:
    """The model that this JSON holds. `source` says where it came from, such as a request.

    Raises:
        ContractBroken: it is not JSON, or members are missing or of another type.
    """
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in found[:_TOLD]
        )
        more = f" (and {len(found) - _TOLD} more)" if len(found) > _TOLD else ""
        raise ContractBroken(
            f"{source}: not a {model.__name__} as known here: {faults}{more}; "
            "use the same release of both programs"
        ) from error


def parse_if_agreed(model: type[Contract], raw: bytes | str) -> Contract | None:
    """The same, or None where it is something else; for answers that may come from a proxy."""
    try:
        return model.model_validate_json(raw)
    except ValidationError:
        return None
