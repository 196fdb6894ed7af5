"""Ownership: which worker scores the rows of an entity.

A stable hash of the user's id over the number of workers; rows without a user go by their
transaction_id, so that a retry meets its first decision; rows with neither belong to the worker
that accepted them.
"""

import zlib
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel
from pydantic_core import from_json

from shared.tables.transaction_store import TRANSACTIONS
from shared.usecase.row_store import RowFields


class Owner(NamedTuple):
    """The worker that a row belongs to.

    Attributes:
        is_named: the caller chose the row's transaction_id, so it may be sent twice.
    """

    number: int
    is_named: bool


def parsed(body: bytes) -> Any:
    """The parsed body; also of one with NaN or long integers, which orjson refuses.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # parsed as in validation, so that every row that is scored has an owner
        return from_json(body)


class Ownership:
    """Maps a row to the worker that owns it."""

    def __init__(
        self,
        number: int,
        total: int,
        request_model: type[BaseModel],
        fields: RowFields = TRANSACTIONS.fields,
    ) -> None:
        self.number = number
        self.fields = fields
        self._total = total
        field = request_model.model_fields.get(fields.entity or "")
        default = None if field is None else field.default
        self._default_user = default if isinstance(default, str) else None

    def of_body(self, body: bytes) -> Owner:
        """The owner of a row as it was sent; a body that is not understood is this worker's."""
        try:
            return self.of(parsed(body))
        except ValueError:
            return Owner(self.number, is_named=False)

    def of(self, row: Any) -> Owner:
        """The owner of a parsed row."""
        if not isinstance(row, dict):
            return Owner(self.number, is_named=False)
        fields = self.fields
        user, name = row.get(fields.entity, self._default_user), row.get(fields.row_id)
        is_named = isinstance(name, str)
        key = user if isinstance(user, str) else name
        if not isinstance(key, str):
            return Owner(self.number, is_named)
        return Owner(zlib.crc32(key.encode()) % self._total, is_named)
