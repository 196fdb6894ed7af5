"""Requests that score a row, and their field types: texts in one form, instants with a zone."""

from collections.abc import Mapping, Set
from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from shared.transaction import TEXT_PATTERN, one_form

ONE_FORM = AfterValidator(one_form)
"""Stores a text as ids are compared."""


def text_limits(longest: int) -> Any:
    """A text of 1 to `longest` characters without control characters."""
    return Field(min_length=1, max_length=longest, pattern=TEXT_PATTERN)


def _written_instant(value: Any) -> Any:
    # pydantic would read 1700000000 and "1700000000" as Unix seconds or milliseconds, by size
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("write an RFC 3339 date and time with a zone, e.g. 2026-01-05T10:15:00Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_written_instant)]


class RowRequest(BaseModel):
    """A row to score: nothing unknown; what is about a person stays out of errors.

    Attributes:
        known_later: columns of the row that are not known yet when it is scored: its label, and
            since when that is known. A request that has one is refused like any unknown field; the
            refusal says where the column belongs.
        called_otherwise: fields by the names that the source has for them; the refusal of such a
            name says the field's.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    known_later: ClassVar[Set[str]] = frozenset()
    called_otherwise: ClassVar[Mapping[str, str]] = {}


def known_later(model: type[BaseModel]) -> Set[str]:
    """The columns of a request's row that are known only after it was scored."""
    return model.known_later if issubclass(model, RowRequest) else frozenset()


def called_otherwise(model: type[BaseModel]) -> Mapping[str, str]:
    """The fields of a request by the names that files have for them."""
    return model.called_otherwise if issubclass(model, RowRequest) else {}
