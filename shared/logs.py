"""Logs: one line an event, for people on a terminal and as JSON for machines."""

import logging
import re
import sys
from pathlib import Path
from typing import Any, Literal

import structlog

LogFormat = Literal["console", "json"]

# Values under these keys never reach a log, whoever passes them.
_SECRET_KEYS = re.compile(
    r"token|password|secret|authorization|private_key|signature", re.IGNORECASE
)
# Whatever carries credentials inside a URL.
_URL_CREDENTIALS = re.compile(r"(\w+://[^:/@\s]+:)[^@/\s]+@")
# Line breaks and control characters would let a value forge a second line.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")

# Libraries that tell at INFO what only their authors want to know.
_TALKATIVE = ("alembic", "apscheduler", "httpx", "httpcore", "numba", "uvicorn.error")


def configure_logging(
    service: str, level: str = "info", fmt: LogFormat = "console", file: Path | None = None
) -> None:
    """Send structlog and the standard library's logs the same way; call once, from main."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(file))
    for handler in handlers:
        to_terminal = handler is handlers[0] and sys.stdout.isatty()
        handler.setFormatter(_formatter(fmt, shared, colors=to_terminal))
    logging.basicConfig(handlers=handlers, level=level.upper(), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def mask_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Mask secret keys and URL credentials, and flatten control characters."""
    return {key: _safe(key, value) for key, value in event.items()}


def _safe(key: str, value: Any) -> Any:
    if _SECRET_KEYS.search(key):
        return "***"
    if isinstance(value, str):
        return _CONTROL.sub(" ", _URL_CREDENTIALS.sub(r"\1***@", value))
    return value


def _formatter(fmt: LogFormat, shared: list[Any], *, colors: bool) -> logging.Formatter:
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
