"""Windows of users straight from SQLite, by compiled code; a connection for each thread."""

import ctypes
import threading
from collections.abc import Sequence
from functools import cache, partial

import numpy as np
from sqlalchemy import Engine, bindparam, false, select
from sqlalchemy.dialects import sqlite

from native.catalogue import COMPILED_READING
from native.parts import Part
from native.sqlite_library import LIBRARY, SqliteConnection, SqliteError
from native.text_hash import agrees_with_python
from shared.errors import DataUnavailable
from shared.features.fetch import is_sqlite_file
from shared.features.live import FOREVER, WINDOW_US, rows_to_read
from shared.features.reader import Statement
from shared.tables.engine import file_of
from shared.tables.sqlite_file import SqliteFile
from shared.transaction import Transaction

from .catalogue import MAX_PRIOR_ROWS
from .layout import Micros
from .stepping import FAILED, GOOD, read_past
from .window import ROOM_TO_COME, UserWindow

_PARAMETERS = (
    ("user_id", "begin_us", "end_us", "most_rows"),
    ("user_id", "end_us", "known_us", "most_rows"),
    ("user_id", "end_us", "known_us", "most_rows"),
)
"""Parameters of each statement; only the first has `most_rows`, the others' is 0 and unused."""


class StoredWindows:
    """Histories of users from the database alone; both methods raise DataUnavailable."""

    def __init__(
        self,
        library: ctypes.CDLL,
        database: str,
        statements: Sequence[Statement],
        max_prior_rows: int,
        file: SqliteFile | None = None,
    ) -> None:
        self._most = (max_prior_rows, rows_to_read(max_prior_rows), ROOM_TO_COME)
        dialect = sqlite.dialect(paramstyle="named")
        self._statements = [each.compile(dialect=dialect) for each in statements]
        self._open = partial(SqliteConnection, library, database)
        self._file = file or SqliteFile(database)
        self._thread = threading.local()

    def lasting(self, transaction: Transaction) -> UserWindow | None:
        """A window for this row and all later ones; None where it cannot be determined."""
        return self._read(transaction, FOREVER, FOREVER)

    def alone(self, transaction: Transaction) -> UserWindow | None:
        """A window for this row only; None where rows want a closer look."""
        return self._read(transaction, transaction.event_time_us, transaction.ingested_at_us)

    def _read(self, transaction: Transaction, end_us: int, known_us: int) -> UserWindow | None:
        try:
            questions = self._questions()
        except SqliteError as error:
            raise _unavailable(error) from error
        if questions is None:
            return None
        event_us, ingested_us = transaction.event_time_us, transaction.ingested_at_us
        result, block = read_past(
            questions,
            np.frombuffer(transaction.user_id.encode(), dtype=np.uint8),
            (event_us - WINDOW_US, end_us, known_us),
            (event_us, ingested_us, hash(transaction.transaction_id)),
            self._most,
        )
        if result == FAILED:
            failure = self._thread.connection.failure()
            self._thread.__dict__.clear()
            raise _unavailable(failure)
        return UserWindow(block) if result == GOOD else None

    def _questions(self) -> Micros | None:
        """This thread's statements; None if compiled code would compute other hashes."""
        generation = self._file.generation
        if self._thread.__dict__.get("generation") != generation:
            self._thread.__dict__.clear()
            self._thread.generation = generation
        try:
            questions: Micros | None = self._thread.questions
        except AttributeError:
            questions = self._thread.questions = self._prepared() if hashes_agree() else None
        return questions

    def _prepared(self) -> Micros:
        connection = self._open()
        lines = [
            connection.prepare(str(each), names, each.params)
            for each, names in zip(self._statements, _PARAMETERS, strict=True)
        ]
        self._thread.connection = connection
        return np.array(lines, dtype=np.int64)


@cache
def hashes_agree() -> bool:
    """True if compiled code computes the same codes as Python for these rows."""
    if not agrees_with_python():
        COMPILED_READING.fall_back("its hashes of text are not this Python's")
    return COMPILED_READING.in_use


def _unavailable(error: SqliteError) -> DataUnavailable:
    return DataUnavailable(f"could not read history: {error}")


def stored_windows(
    engine: Engine,
    statements: Sequence[Statement],
    max_prior_rows: int,
    part: Part = COMPILED_READING,
) -> StoredWindows | None:
    """The reader of a SQLite file; None for other databases, or without the compiled part."""
    if not is_sqlite_file(engine) or LIBRARY is None or not part.in_use:
        return None
    database = str(engine.url.database)
    return StoredWindows(LIBRARY, database, statements, max_prior_rows, file_of(engine))


def warm_up(transaction: Transaction) -> None:
    """Compile what reads, over a database that holds nothing."""
    if LIBRARY is not None and COMPILED_READING.in_use:
        nothing: Statement = select(bindparam("user_id")).where(false())
        windows = StoredWindows(LIBRARY, ":memory:", (nothing,) * 3, MAX_PRIOR_ROWS)
        windows.lasting(transaction)
