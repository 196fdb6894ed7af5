"""Whether anybody has committed to a SQLite database, told from its shared memory.

The first 48 bytes of DATABASE-shm, whose format SQLite documents (walformat.html), hold a
counter of transactions and a checksum over themselves, and change with every commit. Looking
at them is a hundredth of `PRAGMA data_version`, which opens a read transaction to do the same.
The caller keeps a connection open, so the file is not made anew meanwhile.
"""

import mmap
import os
from pathlib import Path

_HEADER_BYTES = 48


class WalIndex:
    """The header of a database's WAL index."""

    def __init__(self, database: str) -> None:
        """Map it.

        Raises:
            OSError: there is none: the database is not in WAL mode, or nobody has opened it.
            ValueError: it is still empty.
        """
        descriptor = os.open(Path(f"{database}-shm"), os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(descriptor, _HEADER_BYTES, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self._seen = b""

    def changed(self) -> bool:
        """Whether it differs from the last look; at first, yes."""
        header = self._memory[:_HEADER_BYTES]
        if header == self._seen:
            return False
        self._seen = header
        return True

    def close(self) -> None:
        self._memory.close()
