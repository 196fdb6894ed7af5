"""Members inside of uvicorn and httptools that the fast HTTP protocol reads or overrides."""

from importlib import import_module

_MODULE = "uvicorn.protocols.http.httptools_impl"
OF_PROTOCOL = (
    "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url",
    "on_header", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete",
    "shutdown", "pause_writing", "resume_writing", "timeout_keep_alive_handler",
    "_start_asgi_task", "_unset_keepalive_if_required",
)  # fmt: skip
OF_CYCLE = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started")
"""Attributes that the cycle of a request sets when it is made."""


def missing_members() -> str | None:
    """The first member that the installed uvicorn lacks; None: none is missing."""
    try:
        found = import_module(_MODULE)
        protocol, cycle = found.HttpToolsProtocol, found.RequestResponseCycle
        assigned = cycle.__init__.__code__.co_names
    except (ImportError, AttributeError) as error:
        return str(error)
    missing = [name for name in OF_PROTOCOL if not hasattr(protocol, name)]
    missing += [name for name in OF_CYCLE if name not in assigned]
    missing += [name for name in ("STATUS_LINE",) if not hasattr(found, name)]
    return f"uvicorn has no {', '.join(missing)}" if missing else None
