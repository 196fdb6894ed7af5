"""What an image compiles when it is built is what its containers call."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.tasks import TaskKind
from tests.support.explained_trees import exported_of, request_of

ROOT = Path(__file__).parents[2]
SIGNATURES = """
import sys
from numba.core.dispatcher import Dispatcher

def signatures(package):
    return {
        f"{module.__name__}.{name}": len(found.signatures)
        for module in list(sys.modules.values()) if module.__name__.startswith(package)
        for name, found in vars(module).items() if isinstance(found, Dispatcher)
    }
"""
EXPLAINED = f"""
{SIGNATURES}
from pathlib import Path
import numpy as np
from shared import explain

explain.load_compiled()
before = signatures("shared.explain")
graph, names = Path(sys.argv[1]).read_bytes(), sys.argv[2:]
row = np.zeros(len(names), dtype=np.float32)
found = explain.Explainer.of(graph, names)
found.contributions(row), found.contributions_of(row.reshape(1, -1))
for part in explain.read_parts(graph, names, ["score"]).parts:
    part.explained(row)
assert any(before.values())
assert signatures("shared.explain") == before, (before, signatures("shared.explain"))
"""
EVERY_DATABASE = """
import usecases
from usecases.fraud.features import postgres_windows, stored

usecases.load_serving("fraud").precompile()
print(len(postgres_windows.past_of.signatures), len(stored.read_past.signatures))
"""


@pytest.mark.parametrize("categories", [True, False])
def test_explaining_a_real_model_compiles_nothing_more(tmp_path: Path, categories: bool) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(exported_of(TaskKind.BINARY, categories=categories))
    names = request_of(TaskKind.BINARY, categories=categories).names
    run_python(EXPLAINED, str(graph), *names)


def test_fraud_is_compiled_for_sqlite_and_postgresql_whichever_an_image_will_read() -> None:
    assert run_python(EVERY_DATABASE).splitlines()[-1].split() == ["1", "1"]


@pytest.mark.parametrize("name", ["Dockerfile.api", "Dockerfile.scheduler"])
def test_an_image_compiles_before_its_root_is_read_only(name: str) -> None:
    assert "python -m usecases.precompile" in (ROOT / name).read_text()


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
