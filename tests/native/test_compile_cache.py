"""Machine code on disk is used while no source it depends on has changed, and not a day longer."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from native.compiled import _follow_sources, compiled
from native.parts import Part

ROOT = Path(__file__).parents[2]
TESTED = {"numba": ("0.68",)}
MAIN = """
from constants import FACTOR
from helpers import scaled
from native.compiled import _follow_sources, compiled
from native.parts import Part

CACHE = Part("compile-cache", without="", tested={tested!r})

def decorated(function):
    return compiled(function, CACHE)

@decorated
def answer(number):
    return scaled(number) + FACTOR

print(answer(1), sum(answer.stats.cache_hits.values()))
"""
HELPERS = """
from native.compiled import _follow_sources, compiled

@compiled
def scaled(number):
    return 10 * number
"""


@dataclass
class Program:
    """A compiled function that uses another file's function and a third file's constant."""

    folder: Path
    tested: Mapping[str, tuple[str, ...]]

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text)

    def run(self) -> tuple[int, int]:
        """What it answers in a new process, and how many functions came from the disk."""
        done = subprocess.run(
            [sys.executable, str(self.folder / "program.py")],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NUMBA_CACHE_DIR": str(self.folder / "cache"),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        answer, hits = done.stdout.splitlines()[-1].split()
        return int(answer), int(hits)


@pytest.fixture(params=[TESTED, {"numba": ("0.1",)}], ids=["native", "pure"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    made = Program(tmp_path, request.param)
    made.write(program=MAIN.format(tested=made.tested), helpers=HELPERS, constants="FACTOR = 1\n")
    return made


@pytest.mark.coupling
def test_machine_code_is_loaded_until_any_of_its_sources_is_edited(program: Program) -> None:
    assert program.run() == (11, 0)
    assert program.run() == (11, 1 if program.tested == TESTED else 0)

    # a sibling, in the same size and with the same time
    helpers = program.folder / "helpers.py"
    before = helpers.stat()
    program.write(helpers=HELPERS.replace("10 *", "20 *"))
    os.utime(helpers, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert program.run() == (21, 0)

    program.write(constants="FACTOR = 2\n")
    assert program.run() == (22, 0)


ROW = """
from typing import NamedTuple

class {name}(NamedTuple):
    number: int
"""
RENAMED = """
from constants import {name}
from native.compiled import compiled

@compiled
def answer(row):
    return row.number

print(answer({name}(7)), sum(answer.stats.cache_hits.values()))
"""


@pytest.mark.coupling
def test_a_class_that_was_renamed_is_no_failure_of_the_next_start(tmp_path: Path) -> None:
    program = Program(tmp_path, TESTED)
    program.write(program=RENAMED.format(name="Before"), constants=ROW.format(name="Before"))
    assert program.run()[0] == 7

    program.write(program=RENAMED.format(name="After"), constants=ROW.format(name="After"))
    assert program.run()[0] == 7


def named(names: dict[str, Any]) -> Any:
    exec("def twice(x):\n    return 2 * x", names)
    return names["twice"]


def test_an_unknown_version_is_said_once_and_compiles_without_the_disk() -> None:
    part = Part("compile-cache", without="slow starts", tested={"numba": ("0.1",)})
    with structlog.testing.capture_logs() as logs:
        functions = [compiled(named({}), part) for _ in range(2)]
    assert [function(21) for function in functions] == [42, 42]
    assert [(line["event"], line["part"]) for line in logs] == [
        ("native_part_not_in_use", "compile-cache")
    ]


class Renamed:
    """A numba whose cache index keeps its stamp under another name."""

    def __init__(self) -> None:
        self._cache = self
        self._cache_file = self
        self._stamp_of_source = None


def test_a_numba_that_renamed_the_stamp_is_noticed() -> None:
    part = Part("compile-cache", without="slow starts")
    assert not _follow_sources(Renamed(), named({}), part)
    assert not part.in_use
    assert part.reason == "numba's cache index has no _source_stamp"
