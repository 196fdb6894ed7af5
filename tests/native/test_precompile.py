"""What is not on disk yet is compiled by another process, if that can be."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from native.compiled import compiled
from native.precompile import call_precompiled

ROOT = Path(__file__).parents[2]
MODULE = """
from native.precompile import call_precompiled
from native.compiled import compiled

@compiled
def twice(number):
    return 2 * number

def work():
    assert twice(21) == 42

def loaded():
    call_precompiled(work)
    return sum(twice.stats.cache_hits.values())
"""


def test_another_process_compiles_and_this_one_loads(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(MODULE)
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", "import doubling; print(doubling.loaded())"],
        env={**os.environ, **paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "1"


def test_what_another_process_cannot_leave_on_disk_is_compiled_here() -> None:
    names: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x", names)  # has no file, so no cache
    twice = compiled(names["twice"])
    found: list[int] = []

    call_precompiled(lambda: found.append(twice(21)))

    assert found == [42]


_COUNTING = """
import sys
import native.precompile as precompile
import doubling
compiled = []
really = precompile._in_another_process
precompile._in_another_process = lambda work: (compiled.append(work), really(work))
doubling.loaded()
print(len(compiled))
"""


def test_of_processes_that_start_at_once_one_compiles_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(MODULE)
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "TMPDIR": str(tmp_path)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _COUNTING],
            env={**os.environ, **paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    told = [worker.communicate(timeout=300)[0].splitlines()[-1] for worker in workers]
    assert sorted(told) == ["0", "0", "1"]
