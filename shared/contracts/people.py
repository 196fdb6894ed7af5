"""The name of the person behind a change, beside the token that allows it."""

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, Field

from shared.contracts.headers import PERSON

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
