"""SQLite's functions for compiled code, which steps through rows without an object for any.

Where COMPILED_READING is not in use they are None, and nothing that calls them can be compiled.
"""

import ctypes
from typing import Any

from native.catalogue import COMPILED_READING
from native.compiled import without_linear_algebra
from native.sqlite_library import DONE, LIBRARY, NULL, ROW, STEPPING

__all__ = ["DONE", "NULL", "ROW"]


def _functions(library: ctypes.CDLL) -> dict[str, Any]:
    """Known to LLVM under names that no library has."""
    with without_linear_algebra():
        import llvmlite.binding  # noqa: PLC0415 - only what is checked is imported
        from numba import types  # noqa: PLC0415

    # pointers are declared as integers: both use the same registers
    pointer, small, large = types.intp, types.int32, types.int64
    signatures = {
        "step": small(pointer),
        "reset": small(pointer),
        "bind_int64": small(pointer, small, large),
        "bind_text": small(pointer, small, pointer, small, pointer),
        "column_int64": large(pointer, small),
        "column_double": types.float64(pointer, small),
        "column_type": small(pointer, small),
        "column_text": pointer(pointer, small),
        "column_bytes": small(pointer, small),
    }
    found = {}
    for name in STEPPING:
        address = ctypes.cast(library[f"sqlite3_{name}"], ctypes.c_void_p).value
        llvmlite.binding.add_symbol(f"python_sqlite3_{name}", address)
        found[name] = types.ExternalFunction(f"python_sqlite3_{name}", signatures[name])
    return found


def _reachable() -> dict[str, Any]:
    if LIBRARY is None or not COMPILED_READING.in_use:
        return {}
    try:
        return _functions(LIBRARY)
    except (ImportError, AttributeError) as error:
        COMPILED_READING.fall_back(str(error))
        return {}


_found = _reachable()
step: Any = _found.get("step")
reset: Any = _found.get("reset")
bind_int64: Any = _found.get("bind_int64")
bind_text: Any = _found.get("bind_text")
column_int64: Any = _found.get("column_int64")
column_double: Any = _found.get("column_double")
column_type: Any = _found.get("column_type")
column_text: Any = _found.get("column_text")
column_bytes: Any = _found.get("column_bytes")
