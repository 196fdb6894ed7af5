"""Logs: one line an event, for people on a terminal and as JSON for machines.

Secrets and personal data are masked here by key name and by the forms in which libraries print
them; docs/security.md has the list.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from shared.log_limits import BoundedFileHandler, EventQuota, LogLimits
from shared.printable import printable, printable_line
from shared.settings import LogSettings
from shared.system.files import close_to_others

LogFormat = Literal["console", "json"]

# Values under these keys never reach a log, from any caller.
_SECRET_KEYS = re.compile(
    r"token|password|secret|authorization|private_key|signature", re.IGNORECASE
)
# Personal data: identity, device and location. The id of a transaction
# is not masked: without it no decision could be found.
_PERSONAL_KEYS = re.compile(
    r"(user|device)_ids?|(home_)?(lat|lon)(itude|gitude)?|e?mail|phone|card_number|iban",
    re.IGNORECASE,
)
_MASK = "***"
# Longest value and traceback in characters, so that no line holds a whole body.
_LONGEST_TEXT, _LONGEST_TRACEBACK = 2_000, 16_000
# The same inside a text: credentials in URLs and headers, and how the libraries that refuse a
# value (pydantic, SQLAlchemy, PostgreSQL) repeat it. Functions replace them: a template is read by
# a module that cannot be imported any more while a process ends.
_IN_TEXT: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # starts with a rare text: a pattern that starts with a word would be tried at every letter
    (re.compile(r"(://[^:/@\s]*:)[^@/\s]+@"), lambda found: f"{found[1]}***@"),
    (
        re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE),
        lambda found: f"{found[1]} ***",
    ),
    (
        re.compile(r"input_value=.*?, input_type=", re.DOTALL),
        lambda _: "input_value=***, input_type=",
    ),
    (
        re.compile(r"\[parameters: .*?\]\n|\[parameters: .*\]", re.DOTALL),
        lambda _: "[parameters: ***]\n",
    ),
    (
        re.compile(r"(Failing row contains |Key \([^)]*\)=)\(.*?\)", re.DOTALL),
        lambda found: f"{found[1]}(***)",
    ),
)
# Keys of structlog that are not values of the event.
_INTERNAL = frozenset({"exc_info", "stack_info", "_record", "_from_structlog"})
# Line breaks would let a value forge a second line.
_LINE_BREAKS = re.compile(r"[\x0a-\x0d\x1c-\x1e\x85\u2028\u2029]")

# Libraries whose INFO lines are of no use to operators.
_LIBRARY_LEVELS = {
    **dict.fromkeys(("alembic", "httpx", "httpcore", "numba", "uvicorn.error"), logging.WARNING),
    # The scheduler's listener logs every failure; APScheduler would log it twice.
    "apscheduler": logging.CRITICAL,
}


_PROCESS: dict[str, object] = {}
# Fields of every line of this process; unlike a context they reach all threads.


def name_process(**fields: object) -> None:
    """Add fields to every line of this process, such as its service or its worker's number."""
    _PROCESS.update(fields)


def configure_logging(
    service: str,
    level: str = "info",
    fmt: LogFormat = "console",
    file: Path | None = None,
    limits: LogLimits = LogLimits(),  # noqa: B008 - frozen
    *,
    to_stderr: bool = False,
) -> None:
    """Send structlog and the standard library's logs the same way; call once, from main.

    `to_stderr`: standard output is for what a command was asked for, as JSON perhaps.
    """
    _PROCESS.clear()
    name_process(service=service)
    shared = _first_processors()
    quota = EventQuota(limits.lines_per_minute)
    structlog.configure(
        processors=[quota, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
        cache_logger_on_first_use=True,
    )
    stream = sys.stderr if to_stderr else sys.stdout
    handlers: list[logging.Handler] = [logging.StreamHandler(stream)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(BoundedFileHandler(file, limits))
        close_to_others(file)
    for handler in handlers:
        handler.addFilter(quota)
        to_terminal = handler is handlers[0] and stream.isatty()
        handler.setFormatter(_formatter(fmt, shared, colors=to_terminal))
    logging.basicConfig(handlers=handlers, level=level.upper(), force=True)
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(library_level)


def configure_service_logging(service: str, settings: LogSettings) -> None:
    """Configure the logs of a service's process as its settings say; call once, from main."""
    configure_logging(
        service, settings.log_level, settings.log_format, settings.log_file, settings.log_limits
    )


def json_logger(file: TextIO) -> FilteringBoundLogger:
    """A logger of JSON lines into one file, beside the log of the process and masked like it."""
    processors: list[Any] = [
        *_first_processors(),
        structlog.processors.format_exc_info,
        mask_exception,
        structlog.processors.JSONRenderer(),
    ]
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger


def _first_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        _with_process,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]


def _with_process(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    for name, value in _PROCESS.items():
        event.setdefault(name, value)
    return event


def start_failed(service: str, error: Exception) -> int:
    """Report an unusable setting on standard error, as the log may not exist yet.

    Returns:
        The exit status of such a start.
    """
    sys.stderr.write(f"{service}: {printable_line(str(error))}\n")
    return 2


def mask_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Mask secrets and personal values, however deep, and flatten control characters."""
    return {key: value if key in _INTERNAL else _safe(key, value) for key, value in event.items()}


def mask_exception(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The same for a traceback that has become text; its lines stay lines."""
    if isinstance(event.get("exception"), str):
        # keep the beginning and the (more useful) end
        event["exception"] = printable(_cut(mask_text(event["exception"]), _LONGEST_TRACEBACK))
    return event


def mask_text(text: str) -> str:
    """The text without the values that are known to stand in such texts."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _safe(key: str, value: Any) -> Any:
    if _SECRET_KEYS.search(key) or _PERSONAL_KEYS.fullmatch(key):
        return _MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _safe(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", item) for item in value]
    text = value if isinstance(value, str) else repr(value)
    # masked before it is cut: half a secret would not be recognised
    text = mask_text(_cut(text, 8 * _LONGEST_TEXT))
    return printable(_LINE_BREAKS.sub(" ", _cut(text, _LONGEST_TEXT)))


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... {len(text) - longest} characters left out ... {text[-half:]}"


def _formatter(fmt: LogFormat, shared: list[Any], *, colors: bool) -> logging.Formatter:
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24)
    )
    # the type of a processor in structlog is wider than required
    mask: Any = mask_exception
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            mask,
            renderer,
        ],
    )
