"""The declaration of a use case: usecase.toml as checked objects, its schema, and its faults."""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ValidationError, model_validator

from shared.errors import SettingsError
from shared.outbound import SecretInside
from shared.rows.coherence import faults_of
from shared.rows.declared_keys import (
    ColumnSection,
    DeclaredKeys,
)
from shared.rows.schema import MAX_NUMBER, Column, Kind, MomentPart, Roles, RowSchema
from shared.tasks import Task, TaskKind

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
        if isinstance(item["ctx"]["error"], SecretInside):
            return f"{where}: {said}"
        # errors that concern several keys name them already
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


FILE_NAME = "usecase.toml"


class DeclarationError(SettingsError):
    """Raised when usecase.toml says something impossible; names every key and its remedy."""


class Declaration(DeclaredKeys):
    """A whole usecase.toml; `row_schema` is what the rest of the program works with."""

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        faults = faults_of(self)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @cached_property
    def row_schema(self) -> RowSchema:
        """The schema of its rows."""
        use_case, label = self.use_case, self.label
        columns = tuple(_column(name, told) for name, told in self.columns.items())
        return RowSchema(
            name=use_case.name,
            version=use_case.version,
            task=Task(use_case.task, _names(self)),
            roles=Roles(
                label=label.column,
                row_id=use_case.row_id,
                entity=use_case.entity,
                time=use_case.time,
                known_at=label.known_at,
                stake=use_case.stake,
                items=self.items,
                item_labels=self.item_labels,
                delay_us=label.delay,
            ),
            columns=columns,
        )


def _names(declared: Declaration) -> tuple[str, ...]:
    """The classes or items of the task."""
    label = declared.label
    if declared.items:
        return declared.item_names
    if declared.use_case.task is TaskKind.BINARY and label.positive is not None:
        return (label.negative or f"not {label.positive}", label.positive)
    return label.classes or ()


def _column(name: str, section: ColumnSection) -> Column:
    standard = section.default is None
    default = section.default
    if section.kind is Kind.NUMBER and isinstance(default, int | float):
        default = float(default)
    return Column(
        name=name,
        kind=section.kind,
        source=section.source or name,
        minimum=-MAX_NUMBER if section.min is None else section.min,
        maximum=MAX_NUMBER if section.max is None else section.max,
        values=section.values or (),
        hash_slots=section.slots or 1,
        parts=section.parts or (MomentPart.AGE_DAYS,),
        default=default,
        required=standard if section.required is None else section.required,
        description=section.description,
    )


def parse_declaration(text: str, name: str = FILE_NAME) -> Declaration:
    """The declaration in a text; `name` is what to call it in errors.

    Raises:
        DeclarationError: names every key that is wrong, and what to do about it.
    """
    try:
        return Declaration.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"{name}: {explain_toml(error, text)}") from error
    except ValidationError as error:
        raise DeclarationError(f"{name}: {explain(error, Declaration)}") from error


def read_declaration(path: Path) -> Declaration:
    """The declaration in a file.

    Raises:
        DeclarationError: the file cannot be read, is not TOML, or says something impossible.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{path} is not written in UTF-8: save it as UTF-8") from error
    return parse_declaration(text, str(path))
