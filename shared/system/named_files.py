"""Output files named by a person: checked first, renamed into place, no foreign file replaced.

An existing file is replaced only when it was made here, and an input is never written. The content
is written beside its place first, so a full disk or a kill keeps the previous file.
"""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from shared.errors import UnderstudyError
from shared.system.files import move, sync_file

IsOurs = Callable[[bytes], bool]
_HEAD_BYTES = 4_096
_LAST_NUMBER = 10_000


class PlaceRefused(UnderstudyError):
    """Raised when a file cannot be written where it was asked for; names the option to change."""


class NamedFile:
    """One file to write; use it as a context, and `text` to write.

    Args:
        path: as it was named; links are followed.
        option: the option a person would change, for the message.
        is_ours: whether the first bytes of a file show that it was made here.
        reads: files that the same command reads.
        keep_earlier: an earlier file of ours is not replaced but gets a number.
    """

    def __init__(
        self,
        path: Path,
        option: str,
        is_ours: IsOurs,
        *,
        reads: Iterable[Path] = (),
        keep_earlier: bool = False,
    ) -> None:
        self.path = path
        self._option = option
        self._is_ours = is_ours
        self._reads = tuple(reads)
        self._keep_earlier = keep_earlier
        self._place = path
        self._temporary: Path | None = None
        self._file: IO[str] | None = None
        self._is_written = False

    def __enter__(self) -> Self:
        """Check the place by creating a file in it.

        Raises:
            PlaceRefused: it is taken, or nothing can be written there.
        """
        try:
            self._place = self.path.resolve()
            if self._is_device():
                self._file = self._place.open("w", encoding="utf-8", newline="")
                return self
            self._check_free()
            temporary = self._place.with_name(f".{self._place.name}.{os.getpid()}.part")
            self._file = temporary.open("x", encoding="utf-8", newline="")
            self._temporary = temporary
        except (OSError, RuntimeError) as error:
            raise self._refusal(f"cannot be written: {_why(error)}") from error
        return self

    @property
    def text(self) -> IO[str]:
        """The stream to write to, opened at first use."""
        if self._file is None:
            raise ValueError("the file is not open")
        self._is_written = True
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put what was written into its place, also when the work failed."""
        file, self._file = self._file, None
        if file is None or self._temporary is None:
            if file is not None:
                file.close()
            return
        try:
            self._settle(file, self._temporary, broke_off=kind is not None)
        except OSError as cause:
            raise self._refusal(f"cannot be written: {_why(cause)}") from cause

    def _settle(self, file: IO[str], temporary: Path, *, broke_off: bool) -> None:
        try:
            file.flush()
            sync_file(file.fileno())
        finally:
            file.close()
        if not self._is_written:
            temporary.unlink()
            if not broke_off:
                self._move_earlier_aside()
            return
        # another process may have created the file meanwhile
        self._check_free()
        if self._keep_earlier and self._place.exists():
            if self._place.read_bytes() == temporary.read_bytes():
                temporary.unlink()
                return
            self._move_earlier_aside()
        move(temporary, self._place)

    def _move_earlier_aside(self) -> None:
        if self._keep_earlier and self._place.exists():
            self._place.rename(self._free_name())

    def _free_name(self) -> Path:
        names = (f"{self._place.name}.{number}" for number in range(1, _LAST_NUMBER))
        places = map(self._place.with_name, names)
        return next(place for place in places if not place.exists())

    def _check_free(self) -> None:
        if any(_is_same(self._place, read) for read in self._reads):
            raise self._refusal("is a file that this command reads")
        if self._place.is_dir():
            raise self._refusal("is a folder")
        if self._place.exists():
            with self._place.open("rb") as file:
                if not self._is_ours(file.read(_HEAD_BYTES)):
                    raise self._refusal("is there already, and was not made by this command")

    def _is_device(self) -> bool:
        """`/dev/null`, `/dev/stdout`, a pipe: written as they are."""
        try:
            mode = self._place.stat().st_mode
        except FileNotFoundError:
            return False
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)

    def _refusal(self, why: str) -> PlaceRefused:
        return PlaceRefused(
            f"{self._option}: {self.path} {why}; it was not changed: name another file"
        )


def _is_same(one: Path, other: Path) -> bool:
    """The same file, by whatever name or link."""
    try:
        return one.samefile(other)
    except OSError:
        return one == other.resolve()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
