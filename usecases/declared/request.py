"""The request of a declared use case: a strict model made of its columns.

Unknown fields, numbers as texts, NaN and numbers that no float32 holds are refused by name.
"""

import warnings
from collections.abc import Mapping
from operator import itemgetter
from secrets import token_hex
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    create_model,
)
from pydantic_core import core_schema

from shared.clock import isoformat, to_micros
from shared.request_types import ONE_FORM, Instant, RowRequest, text_limits
from shared.rows.request_fields import LONGEST_WORD, role_fields
from shared.rows.schema import Column, Kind, Row, RowSchema, Value
from shared.transaction import GENERATED_PREFIX, MAX_AHEAD_US, one_form

EARLIEST_US = -2_208_988_800_000_000
"""The year 1900: an older instant is a wrong unit or origin."""


def request_model(schema: RowSchema) -> type[BaseModel]:
    """The body of /predict; pydantic checks it, /docs shows it."""
    fields = role_fields(schema)
    about: dict[str, Any] = {
        fields.row_id: (
            Identifier | None,
            Field(None, description="Your id, needed for feedback. Default: a new one, answered."),
        )
    }
    if fields.entity is not None:
        about.setdefault(
            fields.entity,
            (
                Identifier | None,
                Field(None, repr=False, description="Id of the row's entity. Default: unknown."),
            ),
        )
    if fields.time is not None:
        about[fields.time] = (
            Instant | None,
            Field(None, description="RFC 3339 with a zone: when the row is true. Default: now."),
        )
    fields_of_columns: dict[str, Any] = {column.name: _field(column) for column in schema.columns}
    with warnings.catch_warnings():
        # pydantic's old methods, such as json and copy, are nothing that we ask a request for
        warnings.filterwarnings("ignore", "Field name .* shadows an attribute", UserWarning)
        model: type[RowRequest] = create_model(
            f"{schema.name.title().replace('_', '')}Request",
            __base__=RowRequest,
            __doc__=f"One row of {schema.name} to score.",
            **{**about, **fields_of_columns},
        )
    roles = schema.roles
    later = {roles.label, roles.known_at, *roles.item_labels} - {None, *model.model_fields}
    model.known_later = frozenset(str(name) for name in later)
    model.called_otherwise = _source_names(schema)
    return model


def _source_names(schema: RowSchema) -> dict[str, str]:
    """The fields of a request by the names that files have for them."""
    fields, roles = role_fields(schema), schema.roles
    by_role = {roles.row_id: fields.row_id, roles.entity: fields.entity, roles.time: fields.time}
    found = {column.source: column.name for column in schema.columns} | by_role
    return {source: field for source, field in found.items() if source and field}


class OneOf:
    """One of some words, in any Unicode form and with blanks around, as an import takes them."""

    def __init__(self, words: tuple[str, ...]) -> None:
        *first, last = map(repr, words)
        self._expected = f"{', '.join(first)} or {last}" if first else last

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        exact = handler(source)
        # words that are written as declared, nearly all, never pass through Python
        other_form = core_schema.no_info_before_validator_function(_in_one_form, exact)
        return core_schema.union_schema(
            [exact, other_form],
            mode="left_to_right",
            custom_error_type="literal_error",
            custom_error_context={"expected": self._expected},
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        exact: Any = schema
        return handler(exact["choices"][0])


def _in_one_form(value: Any) -> Any:
    return one_form(value) if isinstance(value, str) else value


class RowMaker:
    """Turns requests of one schema into rows."""

    def __init__(self, schema: RowSchema) -> None:
        self._fields = role_fields(schema)
        names = schema.names
        # itemgetter with one name returns a value instead of a tuple
        self._pick = itemgetter(*names) if len(names) > 1 else lambda sent: (sent[names[0]],)
        places = list(enumerate(schema.columns))
        self._moments = [at for at, column in places if column.kind is Kind.MOMENT]
        self._defaults = [(at, c.default) for at, c in places if c.default is not None]

    def row(self, request: BaseModel, now_us: int) -> Row:
        """The row a request stands for, defaults filled in.

        Raises:
            ValueError: well-typed but without sense; the text begins with the field's name.
        """
        sent = request.__dict__
        fields = self._fields
        row_id = sent[fields.row_id] or token_hex(16)
        entity = None if fields.entity is None else sent[fields.entity]
        return Row(
            row_id,
            entity or GENERATED_PREFIX + row_id,
            now_us if fields.time is None else self._event_time(sent, now_us),
            now_us,
            self._values(sent),
        )

    def _values(self, sent: Mapping[str, Any]) -> tuple[Value, ...]:
        picked: tuple[Any, ...] = self._pick(sent)
        if not self._moments and not self._defaults:
            return picked
        values = list(picked)
        for at in self._moments:
            if values[at] is not None:
                values[at] = to_micros(values[at])
        for at, default in self._defaults:
            if values[at] is None:
                values[at] = default
        return tuple(values)

    def _event_time(self, sent: Mapping[str, Any], now_us: int) -> int:
        name = self._fields.time
        moment = None if name is None else sent[name]
        if moment is None:
            return now_us
        instant_us = to_micros(moment)
        if instant_us > now_us + MAX_AHEAD_US:
            raise ValueError(
                f"{name}: {moment.isoformat()} is more than one day after now, {isoformat(now_us)}"
            )
        if instant_us < EARLIEST_US:
            raise ValueError(f"{name}: before 1900-01-01T00:00:00Z")
        return instant_us


def _field(column: Column) -> tuple[Any, Any]:
    kind, description = _TYPES[column.kind](column), column.description or _described(column)
    if column.required:
        return kind, Field(description=description)
    return kind | None, Field(None, description=f"{description} Default: {_default(column)}.")


def _number(column: Column) -> Any:
    return Annotated[float, Field(strict=True, ge=column.minimum, le=column.maximum)]


def _flag(_column: Column) -> Any:
    return StrictBool


def _category(column: Column) -> Any:
    return Annotated[Literal[column.values], OneOf(column.values)] if column.values else Word


def _moment(_column: Column) -> Any:
    return Instant


def _described(column: Column) -> str:
    if column.kind is Kind.CATEGORY and not column.values:
        return "Any word; one that training has not seen is scored as unseen."
    return {
        Kind.NUMBER: "A number.",
        Kind.FLAG: "true or false.",
        Kind.CATEGORY: "One of these words.",
        Kind.MOMENT: "RFC 3339 with a zone.",
    }[column.kind]


def _default(column: Column) -> str:
    return "missing" if column.default is None else repr(column.default)


Identifier = Annotated[str, text_limits(LONGEST_WORD), ONE_FORM]
Word = Annotated[str, text_limits(LONGEST_WORD), ONE_FORM]
_TYPES = {
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
    Kind.CATEGORY: _category,
    Kind.MOMENT: _moment,
}
