"""The workflows for users on GitHub: valid, pinned, and with the steps of .ci/run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKE = re.compile(
    r"^\s*(?:- run: |TORCH_INDEX='' )?(make [a-z-]+(?: \|\| make [a-z-]+)?)$", re.MULTILINE
)


def beside_python(name: str) -> str:
    """A program of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed here; requirements/dev.txt has it")
    return found


def test_there_are_workflows_for_checks_and_images() -> None:
    assert [path.stem for path in WORKFLOWS] == ["checks", "images"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_valid(path: Path) -> None:
    done = subprocess.run(
        [beside_python("actionlint"), "-no-color", path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_a_wrong_workflow_would_have_been_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    text = WORKFLOWS[0].read_text()
    wrong.write_text(text.replace("timeout-minutes: 30", "timeout: ${{ github.nothing }}", 1))
    done = subprocess.run(
        [beside_python("actionlint"), "-no-color", wrong],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "timeout" in done.stdout


def test_github_takes_the_steps_that_land_here() -> None:
    here = MAKE.findall((ROOT / ".ci" / "run").read_text())
    there = MAKE.findall((ROOT / ".github" / "workflows" / "checks.yml").read_text())
    assert here == there
    assert len(here) == 5


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_no_host_is_named(path: Path) -> None:
    text = path.read_text()
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert re.findall(r"https?://|\b[a-z-]+\.(?:io|com|org)\b", text) == []
    assert "permissions:\n  contents: read\n" in text


def test_every_image_is_built() -> None:
    text = (ROOT / ".github" / "workflows" / "images.yml").read_text()
    names = re.search(r"name: \[(.*)\]", text)
    assert names
    files = {path.suffix[1:] for path in ROOT.glob("Dockerfile.*")}
    assert set(names[1].split(", ")) == files


def test_an_sbom_lists_what_is_installed_with_its_version(tmp_path: Path) -> None:
    """The command of the workflow, on what an image of this environment would list."""
    text = (ROOT / ".github" / "workflows" / "images.yml").read_text()
    shown = re.search(r"cyclonedx-py (requirements freeze\.txt .*) --output-file", text)
    assert shown
    pins = (ROOT / "requirements" / "serving.txt").read_text()
    (tmp_path / "freeze.txt").write_text(re.sub(r"#.*\n|\[.*?\]", "", pins))
    subprocess.run(
        [beside_python("cyclonedx-py"), *shown[1].split(), "--output-file", "sbom.json"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    made = json.loads((tmp_path / "sbom.json").read_text())
    assert made["bomFormat"] == "CycloneDX"
    listed = {f"{one['name']}=={one['version']}" for one in made["components"]}
    wanted = set((tmp_path / "freeze.txt").read_text().split())
    assert {name.lower() for name in listed} == {name.lower() for name in wanted}
