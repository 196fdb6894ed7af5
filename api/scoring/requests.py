"""Parsing: body bytes straight into the use case's request model, once, without a dict between."""

from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, WrapValidator, create_model
from pydantic_core import to_json

from api.http.bodies import (
    OF_A_ROW,
    OF_AN_ENVELOPE,
    OF_EACH_ROW,
    check_elements,
    check_members,
)
from api.http.errors import invalid
from api.http.problems import Problem
from native.request_parser import json_parser
from shared.request_types import called_otherwise, known_later

Instance = BaseModel | ValidationError

# one or two slices of rows
_SMALL_BYTES = 32 * 1024


def members_of_a_row(model: type[BaseModel]) -> int:
    """The maximum number of members of each row of a batch."""
    return max(OF_EACH_ROW, 4 * len(model.model_fields))


def elements_of_a_batch(model: type[BaseModel], max_rows: int) -> int:
    """The maximum number of values in a batch; checked before it is split."""
    return members_of_a_row(model) * max_rows + OF_AN_ENVELOPE


class RowParser:
    """Parses the body of one row."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._parse = json_parser(model)
        self._later, self._names = known_later(model), called_otherwise(model)
        self._elements = max(OF_A_ROW, 4 * len(model.model_fields))

    def __call__(self, body: bytes) -> BaseModel:
        """Raises Problem, which names the fields that are wrong."""
        check_elements(body, self._elements)
        try:
            return self._parse(body)
        except ValidationError as error:
            raise invalid(error, self._later, self._names) from None


class Instances:
    """The rows of a batch; the remaining ones are parsed when they are taken."""

    def __init__(
        self,
        values: list[Any],
        parse: Callable[[list[Any]], list[Instance]],
        later: Set[str] = frozenset(),
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`later`, `names`: see `RowRequest.known_later` and `called_otherwise`."""
        self._later, self._names = later, names
        # reversed: taking the first value is then a cheap pop() from the end
        self._values = values[::-1]
        self._parse = parse

    def __len__(self) -> int:
        return len(self._values)

    def take(self, most: int) -> list[Instance]:
        """The next rows, each as its request or its error."""
        values = self._values[-most:][::-1]
        del self._values[-most:]
        return self._parse(values)

    def problem(self, error: ValidationError) -> Problem:
        """The problem of a row that does not validate."""
        return invalid(error, self._later, self._names)


class BatchParser:
    """Parses {"instances": [...]}; a bad row becomes its ValidationError, in its place.

    Where every row is good, none of them passes through Python. A body is split at once;
    its rows are validated a slice at a time, because a thousand bad rows take a while.
    """

    def __init__(self, model: type[BaseModel], max_rows: int) -> None:
        # A type made at run time: the checker cannot follow it.
        row: Any = cast(Any, model)
        self._later, self._names = known_later(model), called_otherwise(model)
        self._members = members_of_a_row(model)
        self._elements = elements_of_a_batch(model, max_rows)
        self._good = _envelope(row, max_rows)
        self._mixed = _envelope(Annotated[row, WrapValidator(_keep_error)], max_rows)
        self._values = _envelope(Any, max_rows)

    def __call__(self, body: bytes) -> Instances:
        """Raises Problem when the envelope itself is wrong."""
        check_elements(body, self._elements)
        if len(body) <= _SMALL_BYTES:
            return Instances(self._parsed(body), _as_they_are, self._later, self._names)
        try:
            values = self._values(body)
        except ValidationError as error:
            raise invalid(error) from None
        check_members(values, self._members)
        return Instances(values, self._parsed_values, self._later, self._names)

    def _parsed_values(self, values: list[Any]) -> list[Instance]:
        return self._parsed(to_json({"instances": values}))

    def _parsed(self, body: bytes) -> list[Instance]:
        try:
            return self._good(body)
        except ValidationError:
            return self._with_errors(body)

    def _with_errors(self, body: bytes) -> list[Instance]:
        try:
            return self._mixed(body)
        except ValidationError as error:
            raise invalid(error) from None


def _as_they_are(instances: list[Instance]) -> list[Instance]:
    return instances


def _envelope(row: Any, max_rows: int) -> Callable[[bytes], list[Any]]:
    # fail_fast: one invalid row is enough to validate row by row, or to refuse the body
    rows = (list[row], Field(min_length=1, max_length=max_rows, fail_fast=True))
    adapter: TypeAdapter[Any] = TypeAdapter(create_model("Instances", instances=rows))

    def parse(body: bytes) -> list[Any]:
        instances: list[Any] = adapter.validate_json(body).instances
        return instances

    return parse


def _keep_error(value: Any, parse: Callable[[Any], BaseModel]) -> Instance:
    try:
        return parse(value)
    except ValidationError as error:
        return error.with_traceback(None)
