"""Field types of JSON requests: texts in their one form, and instants with a zone."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from shared.transaction import TEXT_PATTERN, one_form

ONE_FORM = AfterValidator(one_form)
"""Stores a text as ids are compared."""


def text_limits(longest: int) -> Any:
    """A text of 1 to `longest` characters without control characters."""
    return Field(min_length=1, max_length=longest, pattern=TEXT_PATTERN)


def _written_instant(value: Any) -> Any:
    # pydantic would read 1700000000, and "1700000000", as Unix seconds or milliseconds by size
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("write an RFC 3339 date and time with a zone, e.g. 2026-01-05T10:15:00Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_written_instant)]
