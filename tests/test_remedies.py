"""Remedies can be carried out: every command and option that a text or a page names exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from tests.support.pages import commands_of, pages
from understudy.cli import app

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "api", "console", "learning", "native", "scheduler", "shared", "simulator", "understudy",
    "usecases",
)  # fmt: skip
COMMAND = re.compile(r"`([^`\n]*\bunderstudy [^`\n]+|make [^`\n]+|python -m [^`\n]+)`")
INDENTED = re.compile(r"^ +((?:[A-Z_]+=\S+ )*understudy .+)$", re.MULTILINE)
PROGRAM = re.compile(r"([\w./-]*/)?understudy")
OPTION = re.compile(r"--?[a-z][a-z-]*(=.*)?")
EVERYWHERE = {"-h", "--help", "--version", "--install-completion"}
HISTORY = {"CHANGELOG.md", "benchmarks/HISTORY.md"}
GAP = "GAP"
"""Stands for what an f-string puts in."""

group = typer.main.get_command(app)
assert isinstance(group, TyperGroup)
ROOT_GROUP = group


def texts_of(path: Path) -> Iterator[str]:
    """Every text of a module, also of f-strings and docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    joined = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in joined for part in node.values}
    for node in joined:
        yield "".join(str(getattr(part, "value", GAP)) if isinstance(part, ast.Constant) else GAP
                      for part in node.values)  # fmt: skip
    plain = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in inside]
    yield from (node.value for node in plain if isinstance(node.value, str))


def named() -> Iterator[tuple[str, str]]:
    """Where a command is named, and the command."""
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        for text in texts_of(path):
            for command in (*COMMAND.findall(text), *INDENTED.findall(text)):
                yield path.relative_to(ROOT).as_posix(), " ".join(command.split())
    for page in set(pages()) - HISTORY:
        shown = [one.text for one in commands_of(page) if "\n" not in one.text]
        for command in (*COMMAND.findall((ROOT / page).read_text(encoding="utf-8")), *shown):
            yield page, command


def fault_of(command: str) -> str | None:
    """What of a command does not exist; None where all of it does."""
    words = shlex.split(command, posix=False)
    if words[0] == "make":
        return None if is_target(words[1]) else "no such target of make"
    if words[:2] == ["python", "-m"] and words[2] != "understudy":
        return None if is_module(words[2]) else "no such module"
    place = next((place for place, word in enumerate(words) if PROGRAM.fullmatch(word)), None)
    return None if place is None else fault_of_words(words[place + 1 :])


def is_target(name: str) -> bool:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    benches = {f"bench-{path.stem}" for path in (ROOT / "benchmarks").glob("*.py")}
    return name in {*targets, *benches, "bench-NAME"}


def is_module(name: str) -> bool:
    """Whether there is such a module; `mine` and NAME are a copy that the reader has."""
    if name.isupper():
        return True
    name = re.sub(r"usecases\.(mine|NAME)\b", "usecases.fraud", name)
    try:
        return GAP in name or find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def fault_of_words(words: list[str]) -> str | None:
    command: TyperCommand | TyperGroup = ROOT_GROUP
    for word in words:
        if not isinstance(command, TyperGroup) or not re.fullmatch("[a-z][a-z-]*", word):
            break
        found = command.commands.get(word)
        if not isinstance(found, TyperCommand | TyperGroup):
            return f"no such command: {word}"
        command = found
    options = [option for one in command.params for option in (*one.opts, *one.secondary_opts)]
    asked = {word.partition("=")[0] for word in words if OPTION.fullmatch(word)}
    unknown = asked - {*options, *EVERYWHERE}
    return f"no such option: {sorted(unknown)}" if unknown else None


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("understudy rows undo 7 --reason 'the wrong file'", None),
        (".venv/bin/understudy new GAP --from FILE", None),
        ("USE_CASE=churn understudy import", None),
        ("understudy reimport", "no such command: reimport"),
        ("understudy import --again", "no such option: ['--again']"),
        ("make bench-nothing", "no such target of make"),
        ("python -m usecases.fraud.nothing", "no such module"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, fault: str | None) -> None:
    assert fault_of(command) == fault


def test_every_command_that_a_text_of_the_program_or_of_a_page_names_exists() -> None:
    found = sorted(set(named()))
    assert len(found) > 200
    faults = {(where, command): fault for where, command in found if (fault := fault_of(command))}
    assert faults == {}
