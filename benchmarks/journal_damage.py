"""Damage on disk: flipped bits, zeros, files cut short or gone, numbers and folders out of place.

Rows are answered and not drained, the process is killed, something in its journal is damaged, and
it starts again. All rows whose bytes are as they were have to be in the database in the end, and
all that are answered later; the damage has to be reported in /metrics.
"""

import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from api.journal.entries import decode
from api.journal.frames import read_frames
from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.journal_load import (
    AnsweredRows,
    dead_letters,
    doubled,
    figures_of,
    send,
    stored_ids,
    wait_until_drained,
)
from benchmarks.report import Bar
from benchmarks.services import Services
from benchmarks.serving_world import push

ROUNDS, ROUNDS_SHORT = 5, 1
_ROWS = 250
_UNDRAINED = {"JOURNAL_DRAIN_SECONDS": "60", "JOURNAL_MAX_BYTES": str(1024 * 1024)}
_DRAINED = {"JOURNAL_DRAIN_SECONDS": "0.1", "JOURNAL_MAX_BYTES": str(1024 * 1024)}
Damage = Callable[[Path, random.Random], None]


def run(short: bool, dice: random.Random) -> dict[str, float]:
    figures = {"damages": 0.0, "hit": 0.0, "lost": 0.0, "untold": 0.0, "doubled": 0.0}
    for _ in range(ROUNDS_SHORT if short else ROUNDS):
        for name, damage in _DAMAGES.items():
            found = one_damage(name, damage, dice)
            sys.stderr.write(f"{name}: {found}\n")
            figures = {key: figures[key] + found[key] for key in figures}
    return {f"{name}_damage" if name != "damages" else name: n for name, n in figures.items()}


def bars(short: bool) -> Mapping[str, Bar]:
    zero: dict[str, Bar] = {f"{name}_damage": ("==", 0) for name in ("lost", "untold", "doubled")}
    return {"damages": (">=", len(_DAMAGES) * (ROUNDS_SHORT if short else ROUNDS))} | zero


def one_damage(name: str, damage: Damage, dice: random.Random) -> dict[str, float]:
    answered = AnsweredRows()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with Services(root, **_UNDRAINED) as services:
            services.start_api()
            push(services.url, services.folder / "keys", bundle("1.0.0"))
            send(services.port, "before", answered, rows=_ROWS)
            os.kill(services.pid("api"), signal.SIGKILL)
            services.wait_for_end("api")
        before = records(root / "journal")
        damage(root / "journal", dice)
        hit = before.keys() - whole(root / "journal", before)
        with Services(root, **_DRAINED) as services:
            services.start_api()
            send(services.port, "after", answered, rows=50)
            wait_until_drained(services)
            told = sum(figures_of(services, "understudy_journal_damage_total").values())
            services.stop("api")
            stored = stored_ids(services)
            lost = answered.answers.keys() - set(stored) - hit
            return {
                "damages": 1.0,
                "hit": float(len(hit)),
                "lost": float(len(lost) + dead_letters(services)),
                "untold": float(bool(hit) and not told and name not in _UNTELLABLE),
                "doubled": doubled(services, stored),
            }


RecordSpan = tuple[Path, int, int]


def records(folder: Path) -> dict[str, tuple[RecordSpan, bytes]]:
    """The position and the bytes of each decision."""
    found = {}
    for path in sorted(folder.glob("*.journal")):
        raw, begin = path.read_bytes(), 0
        for chunk in read_frames(path, 0):
            for payload, end in chunk.frames:
                decided = decode(payload)
                if isinstance(decided, tuple):
                    found[str(decided[0])] = (path, begin, end), raw[begin:end]
                begin = end
    return found


def whole(folder: Path, before: Mapping[str, tuple[RecordSpan, bytes]]) -> set[str]:
    """Decisions whose bytes are unchanged at their position."""
    now = {path: path.read_bytes() for path in folder.glob("*.journal") if path.is_file()}
    return {
        name
        for name, ((path, begin, end), raw) in before.items()
        if now.get(path, b"")[begin:end] == raw
    }


def _segment(folder: Path, dice: random.Random) -> Path:
    return dice.choice(sorted(folder.glob("*.journal")))


def a_bit(folder: Path, dice: random.Random) -> None:
    path = _segment(folder, dice)
    raw = bytearray(path.read_bytes())
    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
    path.write_bytes(raw)


def some_bytes(folder: Path, dice: random.Random) -> None:
    path = _segment(folder, dice)
    raw = bytearray(path.read_bytes())
    begin, length = dice.randrange(len(raw) - 1), dice.randrange(1, 4_096)
    raw[begin : begin + length] = dice.randbytes(len(raw[begin : begin + length]))
    path.write_bytes(raw)


def a_page_of_zeros(folder: Path, dice: random.Random) -> None:
    path = _segment(folder, dice)
    raw = bytearray(path.read_bytes())
    begin = dice.randrange(len(raw) // 4_096) * 4_096
    raw[begin : begin + 4_096] = bytes(len(raw[begin : begin + 4_096]))
    path.write_bytes(raw)


def a_shorter_file(folder: Path, dice: random.Random) -> None:
    path = _segment(folder, dice)
    os.truncate(path, dice.randrange(path.stat().st_size))


def a_missing_segment(folder: Path, dice: random.Random) -> None:
    dice.choice(sorted(folder.glob("*.journal"))[:-1]).unlink()


def another_number_in_the_checkpoint(folder: Path, dice: random.Random) -> None:
    path = folder / "checkpoint.json"
    said = orjson.loads(path.read_bytes())
    said |= {"segment": dice.randrange(1, 4), "offset": dice.randrange(100_000)}
    path.write_bytes(orjson.dumps(said))


def folders_in_the_way(folder: Path, _dice: random.Random) -> None:
    (folder / "checkpoint.json").unlink(missing_ok=True)
    for name in ("checkpoint.json", "set-aside.jsonl", "000000000099.journal", "worker-7"):
        (folder / name).mkdir()
    (folder / "x.journal").write_bytes(b"no segment")


_DAMAGES: Mapping[str, Damage] = {
    damage.__name__: damage
    for damage in (
        a_bit,
        some_bytes,
        a_page_of_zeros,
        a_shorter_file,
        a_missing_segment,
        another_number_in_the_checkpoint,
        folders_in_the_way,
    )
}
# A file cut between two records cannot be distinguished from a complete one.
_UNTELLABLE = {"a_shorter_file"}
CASE = Case("damage", run, bars)
