"""Whether anybody has committed to a SQLite database, told from its shared memory.

The first 48 bytes of the WAL index, whose format SQLite documents (walformat.html), hold a
counter of transactions and a checksum over themselves, and change with every commit. Looking
at them is a hundredth of `PRAGMA data_version`, which opens a read transaction to do the same.

SQLite itself hands the memory out. To open the file DATABASE-shm beside it would do harm: when
a process closes a file, all its locks on it are gone, SQLite's own among them.
"""

import ctypes
from ctypes import POINTER, Structure, byref, c_int, c_void_p

from shared.features.sqlite_c import OK, SqliteConnection

_HEADER_BYTES = 48
_REGION_BYTES = 32 * 1024
_FILE_POINTER = 7
_WITH_SHARED_MEMORY = 2


class _Methods(Structure):
    """What `sqlite3_io_methods` begins with."""

    _fields_ = (
        ("version", c_int),
        ("of_files", c_void_p * 12),
        (
            "map_shared",
            ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int, POINTER(c_void_p)),
        ),
    )


class _File(Structure):
    _fields_ = (("methods", POINTER(_Methods)),)


class WalIndex:
    """The header of a database's WAL index, which stays in place as long as the connection."""

    def __init__(self, connection: SqliteConnection) -> None:
        """Find it.

        Raises:
            OSError: there is none: the database is not in WAL mode.
            DataUnavailable: the database cannot be read.
        """
        # also makes sure that there is an index
        if connection.ask("PRAGMA journal_mode") != "wal":
            raise OSError("the database is not in WAL mode")
        connection.ask("SELECT count(*) FROM sqlite_master")
        self._connection = connection
        self._header = (ctypes.c_char * _HEADER_BYTES).from_address(_address(connection))
        self._seen = b""

    def changed(self) -> bool:
        """Whether it differs from the last look; at first, yes."""
        header = self._header.raw
        if header == self._seen:
            return False
        self._seen = header
        return True


def _address(connection: SqliteConnection) -> int:
    file, region = POINTER(_File)(), c_void_p()
    found = connection.control(_FILE_POINTER, byref(file))
    if found != OK or file.contents.methods.contents.version < _WITH_SHARED_MEMORY:
        raise OSError("this SQLite shares no memory")
    methods = file.contents.methods.contents
    if methods.map_shared(file, 0, _REGION_BYTES, 0, byref(region)) != OK or not region.value:
        raise OSError("the WAL index is not mapped")
    return region.value
