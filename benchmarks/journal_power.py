"""Power cuts under load: what was not flushed is gone, whole or in parts.

The real API process runs under `benchmarks.sync_tracer`, which knows what was flushed. A cut
kills everything at once and then leaves of the journal and of the database one of the states that
a disk may be in: only what was flushed; all names but only flushed bytes; files as long as
they were, with zeros where nothing was flushed; or any mixture of old and new pages.

With `JOURNAL_FSYNC=true` every answered row has to be in the database in the end. Without, those
that had been drained before the cut, and those answered after the last start.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.journal_load import (
    AnsweredRows,
    dead_letters,
    doubled,
    send,
    start_clients,
    stored_ids,
    wait_until_drained,
)
from benchmarks.report import Bar
from benchmarks.services import Services
from benchmarks.serving_world import push
from benchmarks.sync_tracer import Shadow, is_tracked, supported

CUTS, CUTS_SHORT = 40, 4
_PAGE = 4096
# Small segments, so that several are created, filled and removed during a run.
_SETTINGS = {"JOURNAL_MAX_BYTES": str(2 * 1024 * 1024)}


def run(short: bool, dice: random.Random) -> dict[str, float]:
    if not supported():
        sys.stderr.write("power cuts need Linux on x86-64 or ARM\n")
        return {}
    cuts = CUTS_SHORT if short else CUTS
    figures = {"cuts": float(2 * cuts)}
    for fsync in ("true", "false"):
        found = one_disk(fsync, cuts, dice)
        figures |= {f"{name}_fsync_{fsync}": value for name, value in found.items()}
    return figures


def bars(short: bool) -> Mapping[str, Bar]:
    lost: dict[str, Bar] = {f"lost_fsync_{fsync}": ("==", 0) for fsync in ("true", "false")}
    twice: dict[str, Bar] = {f"doubled_fsync_{fsync}": ("==", 0) for fsync in ("true", "false")}
    return {"cuts": (">=", 2 * (CUTS_SHORT if short else CUTS))} | lost | twice


def one_disk(fsync: str, cuts: int, dice: random.Random) -> dict[str, float]:
    """Life after life on one disk; the last one is told to stop."""
    settings = _SETTINGS | {"JOURNAL_FSYNC": fsync}
    promised: set[str] = set()
    answered = AnsweredRows()
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as other:
        root, shadow = Path(name), Path(other) / "shadow"
        with Services(root, **settings) as services:
            services.start_api()
            push(services.url, services.folder / "keys", bundle("1.0.0"))
            services.stop("api")
        for life in range(cuts):
            promised |= live_until_cut(root, shadow, settings, answered, f"{fsync}-{life}", dice)
        with Services(root, **settings) as services:
            services.start_api()
            send(services.port, f"{fsync}-last", answered, rows=200)
            promised |= {name for name in answered.answers if f"{fsync}-last" in name}
            services.stop("api")
            stored = stored_ids(services)
            return {
                "answered": float(len(answered.answers)),
                "promised": float(len(promised)),
                "lost": float(len(promised - set(stored)) + dead_letters(services)),
                "lost_unpromised": float(len(answered.answers.keys() - promised - set(stored))),
                "doubled": doubled(services, stored),
            }


def live_until_cut(
    root: Path, folder: Path, settings: Mapping[str, str], answered: AnsweredRows, life: str,
    dice: random.Random,
) -> set[str]:  # fmt: skip
    """The ids that must survive: with flushes every answered one, else the drained ones."""
    tracer = (sys.executable, "-m", "benchmarks.sync_tracer", str(root), str(folder))
    before = set(answered.answers)
    services = Services(root, tracer, **settings)
    with ExitStack() as stack:
        # `push` without entering: otherwise this process would open and close the database.
        stack.push(services)
        services.start_api()
        send(services.port, f"{life}-calm", answered, rows=50)
        wait_until_drained(services)
        drained = set(answered.answers)
        clients = start_clients(services.port, life, answered)
        time.sleep(dice.uniform(0.1, 1.5))
        os.kill(services.pid("api"), signal.SIGKILL)
        for client in clients:
            client.join()
        wait_until_all_dead(root)
    state = dice.choice(STATES)
    cut(Shadow(root, folder), state, dice)
    sys.stderr.write(f"{life}: {state}, {len(answered.answers)} answers\n")
    flushed = settings["JOURNAL_FSYNC"] == "true"
    return (set(answered.answers) if flushed else drained) - before


def wait_until_all_dead(root: Path) -> None:
    """The kernel kills what was traced right behind its tracer."""
    deadline = time.monotonic() + 30
    while any(_belongs(process, root) for process in Path("/proc").glob("[0-9]*")):
        if time.monotonic() > deadline:
            raise RuntimeError("the service outlived its tracer")
        time.sleep(0.02)


def _belongs(process: Path, root: Path) -> bool:
    with suppress(OSError):
        return f"JOURNAL_DIR={root}/".encode() in (process / "environ").read_bytes()
    return False


def cut(shadow: Shadow, state: str, dice: random.Random) -> None:
    """Leave on disk what a power cut may have left; `state` is one of STATES."""
    left = left_by_a_cut(shadow, state, dice)
    for path in _tracked(shadow):
        path.unlink()
    for path, content in left.items():
        (shadow.root / path).write_bytes(content)


def left_by_a_cut(shadow: Shadow, state: str, dice: random.Random) -> dict[Path, bytes]:
    """Every file of journal and database, below the root of the disk."""
    if state not in _CONTENTS:
        return _only_flushed(shadow)
    return {
        path.relative_to(shadow.root): _CONTENTS[state](
            shadow.content(path, path.stat().st_ino) or b"", path.read_bytes(), dice
        )
        for path in _tracked(shadow)
        if not path.name.endswith("-shm")
    }


def _tracked(shadow: Shadow) -> list[Path]:
    found = [path for path in shadow.root.rglob("*") if path.is_file()]
    return [path for path in found if is_tracked(path.relative_to(shadow.root))]


def _only_flushed(shadow: Shadow) -> dict[Path, bytes]:
    folders = (shadow.root, *(path for path in shadow.root.glob("journal/**/")))
    places = ((folder / name, i) for folder in folders for name, i in shadow.names(folder).items())
    return {
        path.relative_to(shadow.root): shadow.content(path, inode) or b""
        for path, inode in places
        if is_tracked(path.relative_to(shadow.root)) and not path.is_dir()
        if not path.name.endswith("-shm")
    }


def _flushed(flushed: bytes, _now: bytes, _dice: random.Random) -> bytes:
    return flushed


def _zero_filled(flushed: bytes, now: bytes, _dice: random.Random) -> bytes:
    return flushed.ljust(len(now), b"\x00")


def _mixed(flushed: bytes, now: bytes, dice: random.Random) -> bytes:
    old = flushed.ljust(len(now), b"\x00")
    pages = range(0, len(old), _PAGE)
    return b"".join(dice.choice((old, now))[at : at + _PAGE] for at in pages)


_CONTENTS: Mapping[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "all names, flushed bytes": _flushed,
    "all lengths, zeros where nothing was flushed": _zero_filled,
    "a mixture of pages": _mixed,
}
STATES = ("only what was flushed", *_CONTENTS)
CASE = Case("power", run, bars)
