"""The declaration of a use case: usecase.toml as checked objects, and the schema it stands for."""

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from shared.errors import SettingsError
from shared.rows.coherence import faults_of
from shared.rows.declaration_faults import explain, explain_toml
from shared.rows.declared_keys import DeclaredKeys
from shared.rows.schema import MAX_NUMBER, Column, Kind, MomentPart, Roles, RowSchema
from shared.rows.sections import (
    ColumnSection,
)
from shared.tasks import Task, TaskKind

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
