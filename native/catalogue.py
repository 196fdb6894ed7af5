"""Every part there is, so that one place can list, report and switch them."""

import ctypes
import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated

from pydantic import AfterValidator

from native.parts import ALL, Part, unknown_names
from native.sqlite_library import LIBRARY

_UVICORN = "uvicorn.protocols.http.httptools_impl"
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
        found = import_module(_UVICORN)
        protocol, cycle = found.HttpToolsProtocol, found.RequestResponseCycle
        assigned = cycle.__init__.__code__.co_names
    except (ImportError, AttributeError) as error:
        return str(error)
    missing = [name for name in OF_PROTOCOL if not hasattr(protocol, name)]
    missing += [name for name in OF_CYCLE if name not in assigned]
    missing += [name for name in ("STATUS_LINE",) if not hasattr(found, name)]
    return f"uvicorn has no {', '.join(missing)}" if missing else None


def _no_library() -> str | None:
    return None if LIBRARY else "the functions of Python's SQLite cannot be reached"


COMPILE_CACHE = Part(
    "compile-cache",
    tested={"numba": ("0.68",)},
    without="every process compiles its functions at each start instead of loading them",
)

COMPILE_EVENTS = Part(
    "compile-events",
    tested={"numba": ("0.68",)},
    without="a first start compiles in the serving process, which keeps the compiler's memory",
)

RAW_ADDRESSES = Part(
    "raw-addresses",
    tested={"numba": ("0.68",), "llvmlite": ("0.50",)},
    without="rows that came in together are taken up by one call each",
)

COMPILED_READING = Part(
    "compiled-reading",
    tested={"numba": ("0.68",), "llvmlite": ("0.50",)},
    without="stored rows become Python objects on their way to the features",
    probe=lambda: _no_library() or (None if RAW_ADDRESSES.in_use else "it needs raw-addresses"),
)

WAL_INDEX = Part(
    "wal-index",
    tested={"sqlite": ("3",)},
    without="a statement asks SQLite whether another process has committed",
    versions=lambda _: sqlite3.sqlite_version,
    probe=_no_library,
)


def _lacks(*functions: str) -> Callable[[], str | None]:
    """A probe for functions of the C library."""

    def probe() -> str | None:
        libc = ctypes.CDLL(None)
        missing = [name for name in functions if not hasattr(libc, name)]
        return f"the C library has no {', '.join(missing)}" if missing else None

    return probe


def _glibc(_package: str) -> str:
    """Its version, such as 2.36; "none" with another C library."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ") or "none"
    except (ValueError, OSError):
        return "none"


def _no_smaps() -> str | None:
    readable = sys.platform == "linux" and os.access("/proc/self/smaps", os.R_OK)
    return None if readable else "the system does not report memory maps (/proc/self/smaps)"


def _not_linux() -> str | None:
    return None if sys.platform == "linux" else f"{sys.platform} has no such call"


ALLOCATOR = Part(
    "allocator",
    tested={"glibc": ("2",)},
    without="freed memory stays with the process",
    versions=_glibc,
    probe=_lacks("mallopt", "malloc_trim", "mallinfo2"),
)

CODE_PAGES = Part(
    "code-pages",
    without="the memory that only a start needs stays with the process",
    probe=lambda: _no_smaps() or _lacks("madvise")(),
)

PARENT_DEATH = Part(
    "parent-death",
    without="a child in machine code that keeps the interpreter lock outlives its parent",
    probe=lambda: _not_linux() or _lacks("prctl")(),
)

PEER_CREDENTIALS = Part(
    "peer-credentials",
    without="only the mode of RUN_DIR keeps other users from the workers' sockets",
    probe=lambda: None if hasattr(socket, "SO_PEERCRED") else "sockets do not name their peer",
)

FAST_HTTP = Part(
    "fast-http",
    tested={"uvicorn": ("0.54",), "httptools": ("0.9",)},
    without="every request goes through h11 and ASGI: a seventh of the single rows a second",
    probe=missing_members,
)

REQUEST_PARSER = Part(
    "request-parser",
    tested={"pydantic": ("2.14",)},
    without="each row is parsed through one more call of Python",
)

PARTS: tuple[Part, ...] = (
    COMPILE_CACHE,
    COMPILE_EVENTS,
    RAW_ADDRESSES,
    COMPILED_READING,
    WAL_INDEX,
    ALLOCATOR,
    CODE_PAGES,
    PARENT_DEATH,
    PEER_CREDENTIALS,
    FAST_HTTP,
    REQUEST_PARSER,
)


def states() -> dict[str, bool]:
    """Parts that this process has needed: True if in use, False if replaced by the fallback."""
    return {part.name: part.in_use for part in PARTS if part.was_checked}


def _known(switch: str) -> str:
    names = [part.name for part in PARTS]
    unknown = unknown_names(switch, names)
    if unknown:
        raise ValueError(
            f"no part is named {', '.join(unknown)}; there are {ALL}, {', '.join(names)}"
        )
    return switch


PartNames = Annotated[str, AfterValidator(_known)]
"""The type of the setting NATIVE_PARTS_OFF."""
