"""Every part there is, so that one place can list, report and switch them."""

import sqlite3
from typing import Annotated

from pydantic import AfterValidator

from native.parts import ALL, Part, unknown_names
from native.sqlite_library import LIBRARY


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
    without="rows of SQLite become Python objects on their way to the features",
    probe=lambda: _no_library() or (None if RAW_ADDRESSES.in_use else "it needs raw-addresses"),
)

WAL_INDEX = Part(
    "wal-index",
    tested={"sqlite": ("3",)},
    without="a statement asks SQLite whether another process has committed",
    versions=lambda _: sqlite3.sqlite_version,
    probe=_no_library,
)

PARTS: tuple[Part, ...] = (
    COMPILE_CACHE,
    COMPILE_EVENTS,
    RAW_ADDRESSES,
    COMPILED_READING,
    WAL_INDEX,
)


def states() -> dict[str, bool]:
    """Whether each part that this process has needed is in use."""
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
