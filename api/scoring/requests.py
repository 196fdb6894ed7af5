"""Parsing: body bytes straight into the use case's request model, once, without a dict between."""

from collections.abc import Callable
from typing import Annotated, Any, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, WrapValidator, create_model

from api.http.elements import (
    OF_A_ROW,
    OF_AN_ENVELOPE,
    OF_EACH_ROW,
    check_elements,
)
from api.http.validation import invalid
from api.scoring.batch import Instance


class RowParser:
    """Parses the body of one row."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._parse = model.__pydantic_validator__.validate_json
        self._elements = max(OF_A_ROW, 4 * len(model.model_fields))

    def __call__(self, body: bytes) -> BaseModel:
        """Raises Problem, which tells which fields are wrong."""
        check_elements(body, self._elements)
        try:
            parsed: BaseModel = self._parse(body)
        except ValidationError as error:
            raise invalid(error) from None
        return parsed


class BatchParser:
    """Parses {"instances": [...]}; a bad row becomes its ValidationError, in its place.

    Where every row is good, none of them passes through Python.
    """

    def __init__(self, model: type[BaseModel], max_rows: int) -> None:
        # A type made at run time: the checker cannot follow it.
        row: Any = cast(Any, model)
        self._members = max(OF_EACH_ROW, 4 * len(model.model_fields))
        self._elements = self._members * max_rows + OF_AN_ENVELOPE
        self._good = _envelope(row, max_rows)
        self._mixed = _envelope(Annotated[row, WrapValidator(_keep_error)], max_rows)

    def __call__(self, body: bytes) -> list[Instance]:
        """Raises Problem when the envelope itself is wrong."""
        check_elements(body, self._elements)
        try:
            return self._good(body)
        except ValidationError:
            return self._with_errors(body)

    def _with_errors(self, body: bytes) -> list[Instance]:
        try:
            return self._mixed(body)
        except ValidationError as error:
            raise invalid(error) from None


def _envelope(row: Any, max_rows: int) -> Callable[[bytes], list[Instance]]:
    # one that is wrong is enough to go the other way, or to refuse the whole
    rows = (list[row], Field(min_length=1, max_length=max_rows, fail_fast=True))
    adapter: TypeAdapter[Any] = TypeAdapter(create_model("Instances", instances=rows))

    def parse(body: bytes) -> list[Instance]:
        instances: list[Instance] = adapter.validate_json(body).instances
        return instances

    return parse


def _keep_error(value: Any, parse: Callable[[Any], BaseModel]) -> Instance:
    try:
        return parse(value)
    except ValidationError as error:
        return error.with_traceback(None)
