"""The rule file: TOML with a version, a description and a list of rules; its shape only."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import UnderstudyError

from ..judgement import Decision

FORMAT = 1
MAX_RULES = 200


class RuleFileError(UnderstudyError):
    """Raised when a rule file cannot be used; names the file, the rule and the remedy."""


class Rule(BaseModel):
    """One rule: when the expression is true, the outcome applies for the stated reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    when: Annotated[str, Field(min_length=1, max_length=2_000)]
    outcome: Decision
    reason_code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
    message: Annotated[str, Field(min_length=1, max_length=200)]
    shows: tuple[str, ...] = ()


class RuleFile(BaseModel):
    """A whole rule file; `version` is quoted in every answer the rules had a part in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    description: str = ""
    rule: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES)] = ()


def read_rule_file(path: Path) -> RuleFile:
    """Read and check the shape of a rule file.

    Raises:
        RuleFileError: unreadable, not TOML, or not of the declared shape.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RuleFileError(f"rule file {path}: cannot be read as TOML: {error}") from error
    try:
        return RuleFile.model_validate(raw)
    except ValidationError as error:
        raise RuleFileError(f"rule file {path}: {_first_fault(raw, error)}") from error


def _first_fault(raw: dict[str, object], error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = fault["loc"]
    rules = raw.get("rule")
    if len(where) > 2 and isinstance(rules, list) and isinstance(where[1], int):
        rule = rules[where[1]]
        name = rule.get("id", f"number {where[1] + 1}") if isinstance(rule, dict) else where[1]
        return f"rule {name}: {'.'.join(map(str, where[2:]))}: {fault['msg']}"
    return f"{'.'.join(map(str, where))}: {fault['msg']}"
