"""The text of settings, for `--help` and docs/operations/settings.md."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.settings import SettingGroup
from shared.sizes import GIB, KIB, MIB

_UNITS = {"_seconds": "s", "_ms": "ms", "_minutes": "min", "_days": "d"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most"}


@dataclass(frozen=True)
class SettingText:
    """One setting as people read it."""

    name: str
    group: str
    default: str
    unit: str
    allowed: str
    description: str


def setting_texts(kind: type[SettingGroup]) -> Iterator[SettingText]:
    """Every setting of a service, group by group, in the order of the code."""
    for group in kind.__bases__:
        title = (group.__doc__ or group.__name__).partition("\n")[0].rstrip(".")
        for name, field in kind.model_fields.items():
            if name in group.__annotations__:
                yield SettingText(
                    name=name.upper(),
                    group=title,
                    default=_default(field),
                    unit=_unit(name, field),
                    allowed=_allowed(name, field),
                    description=field.description or "",
                )


def help_text(kind: type[SettingGroup]) -> str:
    """The settings of a service for the end of its `--help`."""
    return "settings, from the environment:\n" + "\n".join(_help_lines(setting_texts(kind)))


def described(kind: type[SettingGroup], name: str) -> str:
    """The description of one setting, for the `--help` of an option that sets the same."""
    return kind.model_fields[name].description or ""


def _help_lines(settings: Iterable[SettingText]) -> Iterator[str]:
    group = ""
    for setting in settings:
        if setting.group != group:
            group = setting.group
            yield f"\n {group}"
        bounds = f"; {setting.allowed}" if setting.allowed else ""
        unit = f" {setting.unit}" if setting.unit else ""
        yield f"  {setting.name} ({setting.default}{unit}{bounds})"
        yield textwrap.fill(
            setting.description, 88, initial_indent=" " * 6, subsequent_indent=" " * 6
        )


def _default(field: FieldInfo) -> str:
    """The default as it would be written in the environment."""
    if field.default is PydanticUndefined:
        return "derived"
    value = field.default
    if value is None or value == "":
        return "none"
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return _number(value) if isinstance(value, int | float) else str(value)


def _unit(name: str, field: FieldInfo) -> str:
    """The unit of the default, and how much it is in a larger one."""
    if not isinstance(field.default, int | float):
        return ""
    if "_bytes" in name:
        return f"= {_amount(name, field.default)}"
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _allowed(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(field.annotation))
    limits = [
        f"{word} {_amount(name, value)}"
        for mark, word in _BOUNDS.items()
        for limit in field.metadata
        if (value := getattr(limit, mark, None)) is not None and (mark, value) != ("ge", 0)
    ]
    return ", ".join(limits)


def _amount(name: str, value: float) -> str:
    """A number with the unit that the setting's name ends with."""
    if "_bytes" in name:
        return _size(int(value)) + ("/s" if name.endswith("_per_second") else "")
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:.15g}"


def _size(count: int) -> str:
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"
