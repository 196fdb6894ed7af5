"""SQLite's C interface in the library that Python's sqlite3 is linked to.

Always that one: a second copy of SQLite in a process would let go of the locks of the first
(sqlite.org/howtocorrupt.html, 2.2.1).
"""

import _sqlite3
import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

OK, ROW, DONE, NULL = 0, 100, 101, 5
_READ_ONLY, _NO_MUTEX = 0x1, 0x8000
# In WAL mode readers do not wait for writers; after this, a row is scored without history.
_BUSY_TIMEOUT_MS = 250
STEPPING = (
    "step",
    "reset",
    "bind_int64",
    "bind_text",
    "column_int64",
    "column_double",
    "column_type",
    "column_text",
    "column_bytes",
)
"""Functions that compiled code calls, without the prefix `sqlite3_`."""


class SqliteError(Exception):
    """SQLite's message of the error."""


def _library() -> ctypes.CDLL | None:
    """Python's SQLite, if it can be called from outside."""
    try:
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        for name in STEPPING:
            library[f"sqlite3_{name}"]
    except (AttributeError, OSError):
        return None
    library.sqlite3_errmsg.restype = ctypes.c_char_p
    library.sqlite3_column_text.restype = ctypes.c_char_p
    return library


LIBRARY = _library()
"""None: its functions cannot be reached, and Python's sqlite3 module is used."""


class SqliteConnection:
    """A connection that only reads, for one thread; closed with the last reference to it."""

    def __init__(self, library: ctypes.CDLL, database: str) -> None:
        """Open it.

        Raises:
            SqliteError: it cannot be opened.
        """
        self._library = library
        self._handle = ctypes.c_void_p()
        self._statements: list[ctypes.c_void_p] = []
        flags = _READ_ONLY | _NO_MUTEX
        opened = self._library.sqlite3_open_v2(
            database.encode(), ctypes.byref(self._handle), flags, None
        )
        self._check(opened)
        self._library.sqlite3_busy_timeout(self._handle, _BUSY_TIMEOUT_MS)

    def prepare(
        self, text: str, names: Sequence[str], constants: Mapping[str, int | None]
    ) -> tuple[int, ...]:
        """The address of a statement, and the numbers of its parameters of these names.

        Raises:
            SqliteError: the database does not know what it is about, or cannot be read.
        """
        library, statement = self._library, ctypes.c_void_p()
        handed_back = ctypes.byref(statement)
        self._check(library.sqlite3_prepare_v2(self._handle, text.encode(), -1, handed_back, None))
        self._statements.append(statement)

        def number_of(name: str) -> int:
            return int(library.sqlite3_bind_parameter_index(statement, f":{name}".encode()))

        for name, value in constants.items():
            if value is not None:
                long = ctypes.c_int64(value)
                self._check(library.sqlite3_bind_int64(statement, number_of(name), long))
        return (statement.value or 0, *map(number_of, names))

    def ask(self, text: str) -> str:
        """The first value of the first row, as text.

        Raises:
            SqliteError: the result is empty.
        """
        statement = ctypes.c_void_p(self.prepare(text, (), {})[0])
        code = self._library.sqlite3_step(statement)
        value: bytes = self._library.sqlite3_column_text(statement, 0) or b""
        self._library.sqlite3_reset(statement)
        if code != ROW:
            raise self.failure()
        return value.decode()

    def control(self, operation: int, handed_back: Any) -> int:
        """SQLite's result of `sqlite3_file_control` for the database's file."""
        done: int = self._library.sqlite3_file_control(
            self._handle, b"main", operation, handed_back
        )
        return done

    def failure(self) -> SqliteError:
        """The message of the last error."""
        reason = self._library.sqlite3_errmsg(self._handle) or b"out of memory"
        return SqliteError(reason.decode(errors="replace"))

    def close(self) -> None:
        for statement in self._statements:
            self._library.sqlite3_finalize(statement)
        self._statements.clear()
        self._library.sqlite3_close_v2(self._handle)
        self._handle = ctypes.c_void_p()

    def _check(self, code: int) -> None:
        if code != OK:
            raise self.failure()

    def __del__(self) -> None:
        self.close()
