"""Notices commits of other connections to a SQLite database, in its shared memory.

The first 48 bytes of the WAL index, whose format SQLite documents (walformat.html), hold a counter
of transactions and a checksum over themselves, and change with every commit. Reading them costs a
hundredth of `PRAGMA data_version`, which opens a read transaction to do the same.

SQLite provides the memory. Opening the file DATABASE-shm beside it would be harmful: when a process
closes a file, it loses all its locks on it, including SQLite's.
"""

import ctypes
import struct
from ctypes import POINTER, Structure, byref, c_int, c_void_p

from native.sqlite_library import OK, SqliteConnection

_HEADER_BYTES = 48
# version, unused, change counter, is initialised, byte order, page size
_HEADER = struct.Struct("=IIIBBH")
_FORMAT_VERSION = 3_007_000
_REGION_BYTES = 32 * 1024
_FILE_POINTER = 7
_WITH_SHARED_MEMORY = 2


class _Methods(Structure):
    """The first members of `sqlite3_io_methods`."""

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


class UnknownFormat(Exception):
    """The memory does not hold what SQLite documents."""


class WalIndex:
    """The header of a database's WAL index, which stays in place as long as the connection."""

    def __init__(self, connection: SqliteConnection) -> None:
        """Find it.

        Raises:
            OSError: no WAL index, because the database is not in WAL mode.
            SqliteError: the database cannot be read.
            UnknownFormat: the memory has no such header.
        """
        # also creates the index if it is missing
        if connection.ask("PRAGMA journal_mode") != "wal":
            raise OSError("the database is not in WAL mode")
        connection.ask("SELECT count(*) FROM sqlite_master")
        self._connection = connection
        self._header = (ctypes.c_char * _HEADER_BYTES).from_address(_address(connection))
        self._seen = b""
        _check_header(self._header.raw, int(connection.ask("PRAGMA page_size")))

    def changed(self) -> bool:
        """True if it differs from the last look, and at the first."""
        header = self._header.raw
        if header == self._seen:
            return False
        self._seen = header
        return True


def _check_header(header: bytes, page_bytes: int) -> None:
    """Checks that the header is initialised, of the known version and of this page size.

    Raises:
        UnknownFormat: it is not.
    """
    version, _, _, is_filled_in, _, page = _HEADER.unpack_from(header)
    # 65536 does not fit into two bytes and is stored as 1
    said = 65_536 if page == 1 else page
    if (version, is_filled_in, said) != (_FORMAT_VERSION, 1, page_bytes):
        raise UnknownFormat(
            f"SQLite's WAL index says version {version}, filled in {is_filled_in}, pages of {said}"
        )


def _address(connection: SqliteConnection) -> int:
    file, region = POINTER(_File)(), c_void_p()
    found = connection.control(_FILE_POINTER, byref(file))
    if found != OK or file.contents.methods.contents.version < _WITH_SHARED_MEMORY:
        raise OSError("this SQLite shares no memory")
    methods = file.contents.methods.contents
    if methods.map_shared(file, 0, _REGION_BYTES, 0, byref(region)) != OK or not region.value:
        raise OSError("the WAL index is not mapped")
    return region.value
