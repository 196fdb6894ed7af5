"""The segment that records are appended to: made with its first record, found again if removed."""

import os
from contextlib import suppress
from pathlib import Path

from api.journal.segments import segment_path
from shared.system.files import sync_directory, sync_file


class ActiveSegment:
    """An open file, or none yet; not safe for several threads."""

    def __init__(self, directory: Path, *, fsync: bool) -> None:
        self._directory = directory
        self._fsync = fsync
        self._descriptor = -1

    def write(self, number: int, data: bytes, at: int) -> None:
        """Write at the end of a segment, which is `at`, or leave the file as it was.

        Raises:
            OSError: the disk takes no more.
        """
        if self._descriptor < 0:
            self._descriptor = self._made(number)
        try:
            self._write(self._descriptor, data, at)
        except OSError:
            # Shrinking needs no space. Left there, whole records of a failed batch could be
            # taken for acknowledged ones by the next start.
            with suppress(OSError):
                os.ftruncate(self._descriptor, at)
            raise

    def cut(self, length: int) -> None:
        os.ftruncate(self._descriptor, length)

    def leave(self) -> None:
        """The next record begins another segment."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def is_nameless(self, number: int) -> bool:
        """Whether somebody removed the file, or the whole folder, while it is written to."""
        if self._descriptor < 0:
            return False
        try:
            named = segment_path(self._directory, number).stat()
        except OSError:
            return True
        return not os.path.samestat(named, os.fstat(self._descriptor))

    def make_again(self, number: int, length: int) -> None:
        """Write what a removed file holds into one that has its name.

        Raises:
            OSError: it cannot be done now; the removed file is still written to.
        """
        content = os.pread(self._descriptor, length, 0)
        descriptor = self._made(number)
        try:
            self._write(descriptor, content, 0)
        except OSError:
            os.close(descriptor)
            segment_path(self._directory, number).unlink(missing_ok=True)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _made(self, number: int) -> int:
        path = segment_path(self._directory, number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._fsync:
                # The records would be on disk, and no name lead to them.
                sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _write(self, descriptor: int, data: bytes, at: int) -> None:
        done = os.pwrite(descriptor, data, at)
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], at + done)
        if self._fsync:
            sync_file(descriptor)
