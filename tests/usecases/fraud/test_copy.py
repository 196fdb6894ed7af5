"""A copy of the fraud folder is a use case of its own: nothing of the original runs in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.shipped_use_cases import copy_of_the_code

PROGRAM = """
import sys
import usecases
serving, learning = usecases.load_serving("mine"), usecases.load_learning("mine")
print(serving.name, learning.name, serving.feature_set.version, usecases.is_simulated("mine"))
print([name for name in sys.modules if name.startswith("usecases.fraud")])
"""


def test_a_copy_runs_its_own_modules_also_where_the_original_was_deleted(tmp_path: Path) -> None:
    tree = copy_of_the_code(tmp_path / "tree", only="fraud")
    folder = tree / "usecases" / "mine"
    shutil.copytree(tree / "usecases" / "fraud", folder)
    catalogue = folder / "features" / "catalogue.py"
    change = (
        'from dataclasses import replace\nFEATURE_SET = replace(FEATURE_SET, version="mine-1")\n'
    )
    catalogue.write_text(catalogue.read_text() + change)
    shutil.rmtree(tree / "usecases" / "fraud")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["mine mine mine-1 True", "[]"]
