"""The mapping: which column of a file is which column of ours, read from TOML.

[columns]                        # ours = "theirs"
transaction_id = "TRANSACTION_ID"
user_id = "CUSTOMER_ID"
...
[defaults]                       # for what the file lacks
currency = "EUR"
[time]
zone = "Europe/Paris"            # of timestamps that name no zone
label_delay = "7d"               # when a label became known, counted from the event
"""

import re
import tomllib
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND
from shared.errors import UnderstudyError
from shared.tables.schema import transaction_history_logs

TARGETS = tuple(transaction_history_logs.columns.keys())
REQUIRED = ("transaction_id", "user_id", "event_time", "amount", "merchant_id")
# What a row of a file that says nothing about it is taken to be.
STANDARD_DEFAULTS = {"currency": "EUR", "transaction_type": "purchase", "label_source": "import"}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS_US = {
    "s": MICROS_PER_SECOND,
    "m": 60 * MICROS_PER_SECOND,
    "h": MICROS_PER_HOUR,
    "d": MICROS_PER_DAY,
}


class MappingError(UnderstudyError):
    """Raised when the mapping is wrong or does not fit the file; nothing was written."""


def _duration_us(written: Any) -> int:
    found = _DURATION.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        raise ValueError('write a number and s, m, h or d, e.g. "7d"')
    return round(float(found[1]) * _UNITS_US[found[2]])


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError('write the name of a time zone, e.g. "UTC" or "Europe/Paris"') from error
    return name


def _known_target(name: str) -> str:
    if name not in TARGETS:
        raise ValueError(f"there is no column {name!r} here; there are {', '.join(TARGETS)}")
    return name


Target = Annotated[str, AfterValidator(_known_target)]
_STRICT = ConfigDict(frozen=True, extra="forbid")


class TimeRules(BaseModel):
    """How instants are read; `unit` is for columns of numbers, `format` for unusual texts."""

    model_config = _STRICT

    zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    label_delay_us: Annotated[int, BeforeValidator(_duration_us)] = Field(
        default=7 * MICROS_PER_DAY, alias="label_delay"
    )
    unit: Literal["s", "ms", "us"] | None = None
    format: str | None = None


class CsvRules(BaseModel):
    """How a CSV file is written."""

    model_config = _STRICT

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf8"


class Mapping(BaseModel):
    """A checked mapping; `columns` is ours -> theirs."""

    model_config = _STRICT

    columns: Dictionary[Target, str]
    defaults: Dictionary[Target, str | int | float] = {}
    time: TimeRules = TimeRules()
    csv: CsvRules = CsvRules()

    @model_validator(mode="after")
    def _names_what_is_needed(self) -> Self:
        missing = [name for name in REQUIRED if name not in self.columns]
        if missing:
            raise ValueError(f"[columns] must name a source for {', '.join(missing)}")
        if "label" in self.defaults:
            raise ValueError("[defaults] cannot name label: an unknown label is unknown")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the file that are read, each once."""
        return tuple(dict.fromkeys(self.columns.values()))

    def check_against(self, present: tuple[str, ...], file: Path) -> None:
        """See that the file has every column the mapping names.

        Raises:
            MappingError: names the columns that are missing and those that exist.
        """
        missing = [f"{theirs!r} (for {ours})" for ours, theirs in self.columns.items()
                   if theirs not in present]  # fmt: skip
        if missing:
            raise MappingError(
                f"{file.name} has no column {', '.join(missing)}; it has {', '.join(present)}"
            )


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping.

    Raises:
        MappingError: the file cannot be read, is not TOML, or says something impossible.
    """
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MappingError(f"cannot read the mapping {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"{_place(item['loc'])}{_plain(item['msg'])}" for item in found]
        raise MappingError(f"{path}: " + "; ".join(told)) from error


def _place(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location if part != "[key]"]
    return f"{'.'.join(parts)}: " if parts else ""


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
