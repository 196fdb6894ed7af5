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
from datetime import date, datetime
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
from shared.tasks.labels import LabelWords

TARGETS = tuple(transaction_history_logs.columns.keys())
REQUIRED = ("transaction_id", "user_id", "event_time", "amount", "merchant_id")
# Default values of columns that the file does not have.
STANDARD_DEFAULTS = {"currency": "EUR", "transaction_type": "purchase", "label_source": "import"}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS_US = {
    "s": MICROS_PER_SECOND,
    "m": 60 * MICROS_PER_SECOND,
    "h": MICROS_PER_HOUR,
    "d": MICROS_PER_DAY,
}


_CENTURY_US = 36_525 * MICROS_PER_DAY

INSTANTS = ("event_time", "ingested_at", "label_known_at")
EVERY_OTHER = "*"
"""Among the words of `LabelRules.negative`: whatever is not named."""


class MappingError(UnderstudyError):
    """Raised when the mapping is wrong or does not fit the file; nothing was written."""


def _duration_us(written: Any) -> int:
    found = _DURATION.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        raise ValueError('write a number and s, m, h or d, e.g. "7d"')
    return within_a_century(float(found[1]) * _UNITS_US[found[2]])


def within_a_century(duration_us: float) -> int:
    """A duration that can be added to an instant of today.

    Raises:
        ValueError: it is longer.
    """
    if duration_us > _CENTURY_US:
        raise ValueError('write at most a hundred years, "36500d"')
    return round(duration_us)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError('write the name of a time zone, e.g. "UTC" or "Europe/Paris"') from error
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


def _known_encoding(name: str) -> str:
    try:
        # bytes -> bytes, as "hex" and "zip", are codecs, too
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError('write the name of an encoding, e.g. "utf8" or "cp1252"') from error
    return name


def _known_target(name: str) -> str:
    if name not in TARGETS:
        raise ValueError(f"there is no column {name!r} here; there are {', '.join(TARGETS)}")
    return name


Target = Annotated[str, AfterValidator(_known_target)]
_STRICT = ConfigDict(frozen=True, extra="forbid")


class TimeRules(BaseModel):
    """The format of instants.

    Attributes:
        zone: of times that name none.
        unit: the unit of numbers; s, ms, us or ns since 1970 or `origin`, or Excel's days.
        origin: from where numbers count instead of 1970.
        format: of texts in their own form (strptime's).
        day_first: whether 05/01/2026 is in January; required where the column is ambiguous.
    """

    model_config = _STRICT

    zone: Zone | None = None
    label_delay_us: Annotated[int, BeforeValidator(_duration_us)] = Field(
        default=7 * MICROS_PER_DAY, alias="label_delay"
    )
    unit: Literal["s", "ms", "us", "ns", "excel"] | None = None
    origin: datetime | date | None = None
    format: str | None = None
    day_first: bool | None = None


class CsvRules(BaseModel):
    """The format of a CSV file."""

    model_config = _STRICT

    delimiter: str = Field(default=",", min_length=1, max_length=1, pattern=r"^[\x01-\x7f]$")
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf8"
    # words for a missing text, besides empty fields
    nulls: tuple[str, ...] = ("NULL", "null", "\\N")


class NumberRules(BaseModel):
    """The text format of numbers; required where a column is ambiguous."""

    model_config = _STRICT

    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", " ", "'"] | None = None

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError("decimal and thousands cannot be the same mark")
        return self


class LabelRules(BaseModel):
    """The words for 1, for 0 and for unknown, in any case; without them the usual ones.

    Attributes:
        also_positive, also_negative: words that a use case adds to the usual ones.
    """

    model_config = _STRICT

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    also_positive: tuple[str, ...] = ()
    also_negative: tuple[str, ...] = ()


class Mapping(BaseModel):
    """A checked mapping; `columns` is ours -> theirs."""

    model_config = _STRICT

    columns: Dictionary[Target, str | tuple[str, str]]
    defaults: Dictionary[Target, str | int | float] = {}
    time: TimeRules = TimeRules()
    csv: CsvRules = CsvRules()
    numbers: NumberRules = NumberRules()
    labels: LabelRules = LabelRules()
    # target column -> value in the file -> stored value
    values: Dictionary[Target, Dictionary[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _numbers_may_stand_under_csv(cls, said: Any) -> Any:
        """`decimal` and `thousands` are looked for beside the delimiter, too."""
        csv = said.get("csv") if isinstance(said, dict) else None
        if not isinstance(csv, dict):
            return said
        moved = {name: csv[name] for name in ("decimal", "thousands") if name in csv}
        rest = {name: value for name, value in csv.items() if name not in moved}
        return {**said, "csv": rest, "numbers": {**moved, **said.get("numbers", {})}}

    @model_validator(mode="after")
    def _only_instants_are_in_two_columns(self) -> Self:
        in_two_columns = [
            ours for ours, theirs in self.columns.items() if not isinstance(theirs, str)
        ]
        wrong = [ours for ours in in_two_columns if ours not in INSTANTS]
        if wrong:
            raise ValueError(f"[columns] {wrong[0]}: only an instant may be in two columns")
        return self

    @model_validator(mode="after")
    def _names_what_is_needed(self) -> Self:
        missing = [name for name in REQUIRED if name not in self.columns]
        if missing:
            raise ValueError(f"[columns] must name a source for {', '.join(missing)}")
        if "label" in self.defaults:
            raise ValueError("[defaults] cannot name label: an unknown label is unknown")
        return self

    def knowing(self, words: LabelWords) -> "Mapping":
        """The same, with the words of a use case for its labels."""
        more = {"also_positive": words.positive, "also_negative": words.negative}
        return self.model_copy(update={"labels": self.labels.model_copy(update=more)})

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the file that are read, each once."""
        return tuple(dict.fromkeys(name for ours in self.columns for name in self.columns_of(ours)))

    def columns_of(self, ours: str) -> tuple[str, ...]:
        """The columns of the file that hold one of ours: none, one, or a date and a time."""
        theirs = self.columns.get(ours, ())
        return (theirs,) if isinstance(theirs, str) else theirs

    def check_against(self, present: tuple[str, ...], file: str) -> None:
        """See that the file has every column the mapping names.

        Raises:
            MappingError: names the columns that are missing and those that exist.
        """
        twice = [name for name in self.sources if present.count(name) > 1]
        if twice:
            raise MappingError(
                f"{file}: column {twice[0]!r} is there {present.count(twice[0])} times; rename "
                "all but the one that is meant"
            )
        missing = [f"{theirs!r} (for {ours})" for ours in self.columns
                   for theirs in self.columns_of(ours) if theirs not in present]  # fmt: skip
        if missing:
            raise MappingError(
                f"{file} has no column {', '.join(missing)}; it has {', '.join(present)}"
                + self._hint(present)
            )

    def _hint(self, present: tuple[str, ...]) -> str:
        """One column whose name holds other delimiters was split at the wrong ones."""
        marks = [mark for mark in ";\t|," if len(present) == 1 and mark in present[0]]
        if not marks:
            return ""
        written = marks[0].replace("\t", "\\t")
        return f'; its delimiter seems to be another: delimiter = "{written}" under [csv]'


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
        faults = [f"{_place(item['loc'])}{_plain(item['msg'])}" for item in found]
        raise MappingError(f"{path}: " + "; ".join(faults)) from error


def _place(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location if part != "[key]"]
    return f"{'.'.join(parts)}: " if parts else ""


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
