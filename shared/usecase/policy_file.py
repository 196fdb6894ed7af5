"""A use case's policy file: TOML validated by a model; every fault is reported with its remedy."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import SettingsError

_REMEDIES: Mapping[str, str] = {
    "missing": "is missing: declare it",
    "extra_forbidden": "is not a setting: remove it, or correct its name",
    "unexpected_keyword_argument": "is not a setting: remove it, or correct its name",
}


class StrictTable(BaseModel):
    """One table of the file: nothing unknown, nothing missing, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Policy = TypeVar("Policy", bound=StrictTable)


def read_policy_file(path: Path, model: type[Policy]) -> Policy:
    """The file as `model`.

    Raises:
        SettingsError: not readable, not TOML, or a setting is missing, unknown or out of
            range; names every such setting and what to do about it.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return model.model_validate(tables)
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors(include_url=False))
        raise SettingsError(f"{path.name}: {faults}") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path.name}: {error}") from error


def _fault(item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"] if part != "[key]")
    remedy = _REMEDIES.get(item["type"])
    if remedy is not None:
        return f"{where} {remedy}"
    wanted = str(item["msg"]).removeprefix("Input ")
    return f"{where} = {item['input']!r} {wanted}: change it"
