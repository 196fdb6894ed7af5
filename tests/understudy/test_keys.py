import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.keys.store import KeyStore
from understudy.cli import app

Understudy = Callable[..., str]


@pytest.fixture
def understudy(tmp_path: Path) -> Understudy:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["keys", *arguments], env={"KEYS_DIR": str(tmp_path)})
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_a_key_is_followed_by_another_and_retired(understudy: Understudy, tmp_path: Path) -> None:
    old = KeyStore(tmp_path).ensure_signing_key()
    told = understudy("rotate")
    assert f"keys retire {old}" in told
    new = KeyStore(tmp_path).signing_key_id()
    states = {item["key"]: item["state"] for item in json.loads(understudy("list", "--json"))}
    assert states == {old: "trusted", new: "signing"}
    understudy("retire", old)
    shown = understudy()
    assert "retired" in shown
    assert old in shown
    understudy("retire", old, "--compromised")
    assert old not in understudy("list")


def test_before_the_first_start_there_are_no_keys(understudy: Understudy) -> None:
    assert "no keys yet" in understudy()


def test_keys_and_tokens_are_made_once_and_handed_out(
    understudy: Understudy, tmp_path: Path
) -> None:
    understudy("make")
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert {path.parts[0] for path in made} == {
        "signing", "trust", "push", "feedback", "console", "api",
    }  # fmt: skip
    understudy("make")
    assert made == {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}


@pytest.mark.parametrize("command", ["list", "make", "rotate", "retire"])
def test_every_command_teaches_by_example(understudy: Understudy, command: str) -> None:
    assert f"understudy keys {command}" in understudy(command, "--help").split("Examples")[1]
