"""The notebooks in docs/notebooks: they run, outputs are stored, and no machine is in them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users|var|opt)/|[A-Z]:\\")


def cells_of(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def outputs_of(path: Path) -> list[dict[str, Any]]:
    return [output for cell in cells_of(path) for output in cell["outputs"]]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_as_it_ran_from_top_to_bottom(path: Path) -> None:
    cells = cells_of(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = outputs_of(path)
    assert {output["output_type"] for output in outputs} <= {
        "execute_result", "display_data", "stream",
    }  # fmt: skip
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_renders_with_tables_pictures_and_headings(path: Path) -> None:
    shown = [set(output.get("data", {})) for output in outputs_of(path)]
    assert any("text/html" in kinds for kinds in shown)
    assert any("image/png" in kinds for kinds in shown)
    headings = [
        line
        for cell in cells_of(path, "markdown")
        for line in "".join(cell["source"]).splitlines()
        if line.startswith("#")
    ]
    assert headings[0].startswith("# ")
    assert len(headings) >= 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_path_of_a_machine_is_in_a_notebook(path: Path) -> None:
    texts = [
        "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))
        for output in outputs_of(path)
    ]
    sources = ["".join(cell["source"]) for cell in cells_of(path)]
    assert [text for text in (*texts, *sources) if MACHINE.search(text)] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="pip install -r requirements/dev.txt")
    nbclient = pytest.importorskip("nbclient", reason="pip install -r requirements/dev.txt")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    texts = [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert any("0 of 500 vectors differ" in text for text in texts)
