"""Runs a command and notes what it has flushed to disk: a power cut leaves that much for certain.

`python -m benchmarks.sync_tracer ROOT SHADOW COMMAND...` keeps, below SHADOW, every file of ROOT
as it was when it was flushed last, and the names of every folder as they were when that was. It
watches fsync and fdatasync of the command and all its children through the kernel (seccomp and
ptrace, Linux on x86-64 and ARM), from any caller: Python, SQLite, any library. When the tracer
is killed, so is all that it traces, at once.
"""

import ctypes
import json
import os
import platform
import shutil
import signal
import struct
import sys
from pathlib import Path
from urllib.parse import quote

_FSYNC = {"x86_64": (0xC000003E, 74, 75), "aarch64": (0xC00000B7, 82, 83)}
_TRACE_ME, _CONT, _SYSCALL, _SET_OPTIONS, _SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
# stop on fork, vfork, clone, exec and seccomp; kill the traced processes with the tracer
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
_EVENT_SECCOMP = 7
_WALL = 0x40000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_RET_TRACE, _RET_ALLOW = 0x7FF00000, 0x7FFF0000
_AT_ENTRY, _AT_EXIT = "<Q Q", "<q"
_DETAILS = 24


class Shadow:
    """The state that is certainly on disk, as files below a separate folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root.resolve()
        self._files, self._names = folder / "files", folder / "names"

    def begin(self) -> None:
        """Copies the existing files, which have been on disk long enough."""
        shutil.rmtree(self._files.parent, ignore_errors=True)
        for folder in (self._files, self._names):
            folder.mkdir(parents=True)
        for path in (self.root, *self.root.rglob("*")):
            if is_tracked(path.relative_to(self.root)):
                self.note(path)

    def note(self, path: Path) -> None:
        """The path has been flushed."""
        if path.is_dir():
            listing = [[entry.name, entry.inode()] for entry in os.scandir(path)]
            _replace(self._names / _key(path.relative_to(self.root)), json.dumps(listing).encode())
        elif path.is_file():
            inode = path.stat().st_ino
            _replace(self._file(path, inode), path.read_bytes())

    def content(self, path: Path, inode: int) -> bytes | None:
        """The file as it was flushed last; None if it never was."""
        kept = self._file(path, inode)
        return kept.read_bytes() if kept.exists() else None

    def names(self, folder: Path) -> dict[str, int]:
        """Names in a folder as they were flushed last, with their inodes."""
        kept = self._names / _key(folder.relative_to(self.root))
        return dict(json.loads(kept.read_bytes())) if kept.exists() else {}

    def _file(self, path: Path, inode: int) -> Path:
        # Inode numbers are reused soon, but rarely for a file of the same name.
        return self._files / f"{_key(path.relative_to(self.root))}#{inode}"


def is_tracked(relative: Path) -> bool:
    """True if it belongs to the database or the journal; other files are unchanged."""
    name = relative.as_posix()
    of_database = name.startswith("understudy.db") and not name.endswith("-lock")
    return name == "." or of_database or name.split("/")[0] == "journal"


def supported() -> bool:
    return sys.platform == "linux" and platform.machine() in _FSYNC


def main() -> None:
    root, folder, *command = sys.argv[1:]
    shadow = Shadow(Path(root), Path(folder))
    shadow.begin()
    pid = os.fork()
    if pid == 0:
        _become_traced(command)
    os.waitpid(pid, 0)
    _ptrace(_SET_OPTIONS, pid, _OPTIONS)
    _ptrace(_CONT, pid, 0)
    sys.exit(_follow(pid, shadow))


def _become_traced(command: list[str]) -> None:
    """Replaces this process by the traced one; never returns."""
    os.setsid()
    _ptrace(_TRACE_ME, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    _trace_flushes()
    os.execvp(command[0], command)


def _follow(first: int, shadow: Shadow) -> int:
    """Let them run until the first one ends; its exit status."""
    known = {first}
    flushing: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return 1
        if not os.WIFSTOPPED(status):
            known.discard(pid)
            if pid == first:
                return os.waitstatus_to_exitcode(status) & 0xFF
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        go, deliver = _CONT, 0
        if event == _EVENT_SECCOMP:
            flushing[pid], go = _argument(pid), _SYSCALL
        elif number == signal.SIGTRAP and pid in flushing:
            _flushed(pid, flushing.pop(pid), shadow)
        elif event == 0 and (pid in known or number != signal.SIGSTOP):
            deliver = number
        known.add(pid)
        _ptrace(go, pid, deliver)


def _flushed(pid: int, descriptor: int, shadow: Shadow) -> None:
    """A flush has returned; the one that asked waits until this is noted."""
    (result,) = struct.unpack_from(_AT_EXIT, _syscall_info(pid), _DETAILS)
    try:
        path = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
    except OSError:
        return
    ours = path.is_relative_to(shadow.root) and is_tracked(path.relative_to(shadow.root))
    if result == 0 and ours:
        shadow.note(path)


def _argument(pid: int) -> int:
    _, first = struct.unpack_from(_AT_ENTRY, _syscall_info(pid), _DETAILS)
    return int(first)


def _syscall_info(pid: int) -> bytes:
    buffer = ctypes.create_string_buffer(96)
    _libc().ptrace(_SYSCALL_INFO, pid, ctypes.c_void_p(len(buffer)), buffer)
    return buffer.raw


def _trace_flushes() -> None:
    """Have the kernel stop this process and its children at each flush."""
    arch, fsync, fdatasync = _FSYNC[platform.machine()]
    program = [
        (0x20, 0, 0, 4),  # the architecture
        (0x15, 0, 3, arch),
        (0x20, 0, 0, 0),  # the number of the call
        (0x15, 2, 0, fsync),
        (0x15, 1, 0, fdatasync),
        (0x06, 0, 0, _RET_ALLOW),
        (0x06, 0, 0, _RET_TRACE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
    header = struct.pack("<H6xQ", len(program), ctypes.addressof(code))
    libc = _libc()
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(
        _SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(header), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter")


def _ptrace(request: int, pid: int, data: int) -> None:
    # Errors are ignored: waitpid reports a process that has died.
    _libc().ptrace(request, pid, None, ctypes.c_void_p(data))


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return libc


def _key(relative: Path) -> str:
    return "_" + quote(relative.as_posix(), safe="")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    main()
