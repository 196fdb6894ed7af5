"""A model's parser without the Python call around it."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from native.catalogue import REQUEST_PARSER
from native.parts import Part

_VALIDATOR = "__pydantic_validator__"


def json_parser(
    model: type[BaseModel], part: Part = REQUEST_PARSER
) -> Callable[[bytes], BaseModel]:
    """Parses JSON into the model; raises pydantic's ValidationError."""
    if not part.in_use:
        return model.model_validate_json
    validator: Any = getattr(model, _VALIDATOR, None)
    parse: Callable[[bytes], BaseModel] | None = getattr(validator, "validate_json", None)
    if parse is None:
        part.fall_back(f"pydantic's models have no {_VALIDATOR}.validate_json")
        return model.model_validate_json
    return parse
