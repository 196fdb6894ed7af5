"""The names of a row's fields in a request."""

from dataclasses import dataclass

from shared.request_types import RowRequest
from shared.rows.declared_keys import IDENTIFIER
from shared.rows.schema import RowSchema

NAMES_OF_REQUESTS = frozenset(
    name
    for name in dir(RowRequest)
    if name.startswith("model_") or name in ("known_later", "called_otherwise")
)
"""Attributes of every request, of pydantic and ours; a field of such a name would hide one."""

LONGEST_WORD = 256
"""Characters of an id, an entity, a word of an open category."""


@dataclass(frozen=True, slots=True)
class RoleFields:
    """Names of fields.

    Attributes:
        entity, time: None where the use case has none.
    """

    row_id: str
    entity: str | None
    time: str | None


def role_fields(schema: RowSchema) -> RoleFields:
    """The names of the source where they can be names of a field, else those of the table."""

    def field(source: str | None, standard: str) -> str:
        taken = (*schema.names, *NAMES_OF_REQUESTS)
        is_usable = source and IDENTIFIER.fullmatch(source) and source not in taken
        return str(source) if is_usable else standard

    roles = schema.roles
    return RoleFields(
        field(roles.row_id, "row_id"),
        None if roles.entity is None else field(roles.entity, "entity"),
        None if roles.time is None else field(roles.time, "event_time"),
    )
