"""Telemetry of dependencies is off before any of them is imported, whoever comes first."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.telemetry import SWITCHES, switch_off

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "scheduler", "shared", "simulator", "understudy", "usecases")
TALKATIVE = {"onnxruntime", "mlflow"}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_of_ours_switches_telemetry_off(package: str) -> None:
    code = (
        f"import sys, {package}, os\n"
        f"print(all(os.environ.get(name) == value for name, value in {dict(SWITCHES)!r}.items()),"
        f" sorted({TALKATIVE!r} & set(sys.modules)))"
    )
    environment = {"PATH": os.environ["PATH"], "ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True []"


def test_what_was_set_before_does_not_switch_it_on() -> None:
    environment = {"ORT_DISABLE_TELEMETRY": "0", "PATH": "/bin"}
    switch_off(environment)
    assert environment == {**SWITCHES, "PATH": "/bin"}


def test_nothing_outside_these_packages_imports_what_phones_home() -> None:
    sources = (path for folder in ("benchmarks", "tests", "scripts")
               for path in (ROOT / folder).rglob("*.py"))  # fmt: skip
    assert [str(path) for path in sources if _imported(path) & TALKATIVE] == []


@pytest.mark.parametrize("name", ["Dockerfile.api", "Dockerfile.scheduler", "Dockerfile.console"])
def test_the_images_switch_it_off_for_whatever_runs_in_them(name: str) -> None:
    text = (ROOT / name).read_text()
    assert [switch for switch, value in SWITCHES.items() if f"{switch}={value}" not in text] == []


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names
