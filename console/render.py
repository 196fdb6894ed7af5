"""Views as pages, JSON and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic import BaseModel

from console.wording import change_word, metric_name
from shared.clock import MICROS_PER_SECOND, isoformat, to_datetime
from shared.printable import printable

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
# Spreadsheets evaluate cells that begin with one of these as a formula (CSV injection).
# The last four are full-width forms, which some spreadsheets read as the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MIB = 1024 * 1024


def make_environment(zone: ZoneInfo) -> Environment:
    """Templates with everything escaped, and an error for a name that is not there."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.finalize = _shown
    environment.globals |= {"metric_name": metric_name, "change_word": change_word}
    environment.filters |= {
        "when": lambda instant: when(instant, zone),
        "duration": duration,
        "number": number,
        "percent": percent,
        "size": size,
        "prose": prose,
    }
    return environment


def prose(text: str | None) -> Markup:
    """A sentence whose commands stand between backticks, as messages of a terminal have them."""
    parts = printable(text or "").split("`")
    if len(parts) % 2 == 0:
        return escape(printable(text or ""))
    marked = (Markup("<code>{}</code>").format(one) if at % 2 else escape(one)
              for at, one in enumerate(parts))  # fmt: skip
    return Markup("").join(marked)


def _shown(value: Any) -> Any:
    """Text of data without characters that reorder or hide what stands beside them."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return value


def when(instant: int | str | None, zone: ZoneInfo) -> Markup:
    """An instant in UTC, and in the zone of the console where that is another."""
    moment = _moment(instant)
    if moment is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001 - a dash for people
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    local = moment.astimezone(zone)
    if local.utcoffset():
        day = "" if local.date() == moment.date() else f"{local:%Y-%m-%d} "
        text += f" ({day}{local:%H:%M} {local:%Z})"
    exact = moment.isoformat().replace("+00:00", "Z")
    return Markup('<time datetime="{}">{}</time>').format(exact, text)


def _moment(instant: int | str | None) -> datetime | None:
    if isinstance(instant, int):
        return to_datetime(instant)
    if not instant:
        return None
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def micros_of(text: str | None) -> int | None:
    """The instant of RFC 3339 text, in microseconds; None: it is none."""
    moment = _moment(text)
    return None if moment is None else round(moment.timestamp() * MICROS_PER_SECOND)


def duration(seconds: float | None) -> str:
    """A time span in its two largest units."""
    if seconds is None:
        return "–"  # noqa: RUF001 - a dash for people
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    rest, parts = round(seconds), list[str]()
    for length, unit in (*_UNITS, (1, "s")):
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)


def number(value: float | str | None, digits: int = 3) -> str:
    """A figure with as many digits as people compare."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash for people
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    smallest = 10.0**-digits
    if abs(value) < smallest / 2:
        return f"< {smallest:.{digits}f}" if value > 0 else f"> -{smallest:.{digits}f}"
    return f"{value:,.{digits if abs(value) < 100 else 1}f}"


def percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{share:.{digits}%}"  # noqa: RUF001 - a dash for people


def size(count: int | None) -> str:
    if count is None:
        return "–"  # noqa: RUF001 - a dash for people
    return f"{count / _MIB:,.1f} MiB" if count >= _MIB else f"{count / 1024:,.1f} kB"


def as_json(view: Any, troubles: Sequence[Any]) -> bytes:
    """A view for machines; `troubles` says what could not be read."""
    content = {**plain(view), "troubles": [plain(one) for one in troubles]}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n"


def plain(value: Any) -> Any:
    """Dataclasses and models as JSON takes them; NaN becomes null."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field.name for field in fields(value) if field.metadata.get("shown", True))
        return {name: plain(getattr(value, name)) for name in shown}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def as_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV with a header; a text that a spreadsheet would compute gets an apostrophe."""
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(map(_cell, names))
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if isinstance(value, Mapping | list | tuple):
        return orjson.dumps(plain(value)).decode()
    return "" if value is None else value


def instant_text(instant_us: int | None) -> str | None:
    """RFC 3339 of an instant, for JSON and CSV."""
    return None if instant_us is None else isoformat(instant_us)
