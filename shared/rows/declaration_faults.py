"""Faults of usecase.toml in sentences that name the key and the remedy."""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_LINE = re.compile(r"\(at line (\d+)")
_SAID_BY_US = "value_error"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Every fault of a declaration, each once."""
    found = [_fault(item, model) for item in error.errors(include_url=False)]
    return "; ".join(dict.fromkeys(found))


def explain_toml(error: tomllib.TOMLDecodeError, text: str) -> str:
    """A TOML syntax error, with its line."""
    said = str(error)
    line = _LINE.search(said)
    written = text.splitlines()[int(line[1]) - 1].strip() if line else ""
    if line and said.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate")):
        key = written.split("=")[0].strip().strip("[]")
        return f"line {line[1]} declares {key!r} for the second time: keep one of them"
    return f"is not TOML: {said}" + (f": {written!r}" if written else "")


def _fault(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in item["loc"] if not _is_noise(part))
    kind, written = item["type"], item["input"]
    if kind == _SAID_BY_US:
        said = str(item["ctx"]["error"])
        # what is wrong between keys names them itself
        return said if not where else f"{where} = {written!r}: {said}"
    if kind == "missing":
        return f"{where} is missing: declare it"
    if kind == "extra_forbidden":
        return f"{where} is not a setting: {_suggestion(item['loc'], model)}"
    if kind == "too_short":
        return f"{where} is empty: declare at least {item['ctx']['min_length']}"
    wanted = str(item["msg"]).removeprefix("Input ")
    return f"{where} = {written!r}: it {wanted}; change it"


def _is_noise(part: object) -> bool:
    """Names of types and marks that pydantic puts between keys."""
    return part == "[key]" or (isinstance(part, str) and bool(re.search(r"[\[\]()]", part)))


def _suggestion(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    known = _keys_at(location[:-1], model)
    close = get_close_matches(str(location[-1]), known, 1)
    return f"write {close[0]!r}, or remove it" if close else "remove it, or correct its name"


def _keys_at(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that the table at a place of the file may have."""
    here = model
    for part in location:
        field = next((f for name, f in here.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            continue
        found = _model_in(field.annotation)
        if found is None:
            return []
        here = found
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for a in get_args(annotation) if (m := _model_in(a)) is not None), None)
