"""Processes stay small, end with their parent and know their peers, natively and without."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from native import linux
from native.parts import Part

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.coupling


def pure() -> Part:
    return Part("sample", without="", switched_off=lambda: "all")


def native() -> Part:
    return Part("sample", without="", switched_off=lambda: "")


EITHER = pytest.mark.parametrize("part", [native, pure])

PARENT = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]]).wait()
"""
CHILD = """
import os, signal, time
from shared.system.child_processes import end_with_parent
end_with_parent(os.getppid(), by_kernel=True)
print("alive", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("switch", ["", "parent-death"], ids=["native", "pure"])
def test_a_child_ends_soon_after_its_parent_was_killed(switch: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NATIVE_PARTS_OFF": switch},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert any(line.strip() == "alive" for line in iter(parent.stdout.readline, ""))
        parent.kill()
        began = time.monotonic()
        # the pipe ends when the last process that holds it does
        parent.stdout.read()
    assert time.monotonic() - began < 30


@EITHER
def test_a_process_of_this_user_is_ours(part: Callable[[], Part]) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert linux.peer_is_ours(one, part())


@EITHER
def test_a_process_goes_on_after_its_memory_was_returned(part: Callable[[], Part]) -> None:
    switch = "all" if part is pure else ""
    code = (
        "from native import linux\n"
        "from native.parts import Part\n"
        f"def part(): return Part('sample', without='', switched_off=lambda: {switch!r})\n"
        "linux.keep_small(part())\n"
        "import json, decimal, gc, sqlite3\n"
        "gc.disable()\n"
        "linux.release_startup_pages(part(), part())\n"
        "linux.give_back_freed(part())\n"
        "print(json.dumps([str(decimal.Decimal('1.5') * 2), gc.isenabled()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == '["3.0", true]'
