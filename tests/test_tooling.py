"""Tools of development: the hook of commits, make, editors, and an installation that reports."""

import configparser
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from api.settings import Settings
from scheduler.settings import SchedulerSettings
from shared.settings import SettingGroup

ROOT = Path(__file__).parent.parent
PHASE = ROOT / "scripts" / "phase"


def test_the_hook_of_commits_lints_and_formats_what_is_committed_and_nothing_else() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert [hook["entry"].split()[:2] for hook in hooks] == [
        [".venv/bin/ruff", "check"], [".venv/bin/ruff", "format"],
    ]  # fmt: skip
    assert all(hook.get("pass_filenames", True) for hook in hooks)


@pytest.mark.parametrize(("service", "kind"), [("api", Settings), ("scheduler", SchedulerSettings)])
def test_every_folder_of_a_service_lies_on_a_volume_of_its_container(
    service: str, kind: type[SettingGroup]
) -> None:
    """The rest of a container cannot be written to."""
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][service]
    mounts = [volume.split(":")[1] for volume in composed["volumes"]] + ["/tmp"]
    for name, field in kind.model_fields.items():
        if name.endswith("_dir") and isinstance(field.default, Path):
            place = composed["environment"].get(name.upper(), "")
            inside = [mount for mount in mounts if Path(mount).is_relative_to(place or "/nowhere")]
            assert inside or any(Path(place).is_relative_to(mount) for mount in mounts), name


def test_make_test_takes_a_folder() -> None:
    asked = ["make", "--dry-run", "--old-file=.venv/.dev", "test", "FOLDER=tests/api"]
    shown = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"pytest .*not slow.* tests/api$", shown, re.MULTILINE)


def test_a_step_of_the_installation_says_what_it_does_how_long_and_how_much(
    tmp_path: Path,
) -> None:
    work = f"echo noise; head -c 3000000 /dev/zero > {tmp_path}/file"
    done = subprocess.run(
        [PHASE, tmp_path, "libraries", "sh", "-c", work],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"  libraries +\d+ s +\+[23] MB\n", done.stdout)


def test_a_step_that_fails_ends_with_its_status_and_shows_what_it_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [PHASE, tmp_path / "new", "libraries", "sh", "-c", "echo no room >&2; exit 3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "no room\n")
    assert "failed" in done.stdout


def test_editors_keep_the_line_length_that_ruff_checks() -> None:
    rules = configparser.ConfigParser()
    rules.read_string("[start]\n" + (ROOT / ".editorconfig").read_text())
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert int(rules["*.py"]["max_line_length"]) == ruff["line-length"]


@pytest.mark.parametrize("key", ["onCreateCommand", "postCreateCommand"])
def test_the_container_for_development_has_the_python_and_the_make_target_there_are(
    key: str,
) -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert re.search(r"python:(3\.\d+)", container["image"])
    assert container["image"].split(":")[1].startswith("3.11")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(target in targets for target in re.findall(r"make ([a-z-]+)", container[key]))
