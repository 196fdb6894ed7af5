"""Documents: what they link to and name exists."""

import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from scripts import decisions as decisions_page
from scripts.shape_figures import PACKAGES
from shared.version import VERSION
from understudy.cli import app

OWN_PACKAGES = {*PACKAGES, "benchmarks", "scripts"}
ROOT = Path(__file__).parent.parent
TRACKED = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.split("\0")
PAGES = sorted(path for path in TRACKED if path.endswith(".md") and (ROOT / path).is_file())
TEXTS = sorted(
    path
    for path in TRACKED
    if path.endswith((".md", ".py", ".yml", ".yaml", ".toml", ".sh", "Makefile", ".ini"))
    and (ROOT / path).is_file()
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![\w/.-])((?:docs|benchmarks|monitoring|scripts)/[\w./-]*\w\.md)\b")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("path", PAGES)
def test_every_relative_link_of_a_page_leads_somewhere(path: str) -> None:
    broken = []
    for target in LINK.findall(FENCE.sub("", (ROOT / path).read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (ROOT / path).parent / file if file else ROOT / path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_that_code_and_documents_name_exists() -> None:
    missing = [
        f"{path}: {named}"
        for path in TEXTS
        if path != "tests/test_documents.py"
        for named in NAMED.findall((ROOT / path).read_text())
        if not (ROOT / named).is_file()
    ]
    assert missing == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (path, target)
        for path in PAGES
        if path != "CHANGELOG.md"
        for target in re.findall(
            r"[`\s]make ([a-z]+(?:[-_][a-z_]+)*)[`\s]", (ROOT / path).read_text()
        )
    }
    benches = {f"bench-{file.stem}" for file in (ROOT / "benchmarks").glob("*.py")}
    unknown = {(path, target) for path, target in named if target not in targets | benches}
    assert {one for one in unknown if "-" in one[1]} == set()


def test_the_newest_release_of_the_changelog_is_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)[0] == VERSION


def test_an_entry_of_the_changelog_is_one_line() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("  ")] == []


def test_the_project_says_how_to_report_how_to_behave_and_under_which_licence() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "Contributor Covenant" in (ROOT / "CODE_OF_CONDUCT.md").read_text()
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()


def decisions() -> list[Path]:
    return sorted((ROOT / "docs" / "adr").glob("0*.md"))


@pytest.mark.parametrize("page", decisions(), ids=lambda page: page.name)
def test_a_decision_says_its_situation_decision_price_and_status(page: Path) -> None:
    text = page.read_text()
    missing = [
        part for part in ("Status", "Situation", "Decision", "Price") if f"**{part}" not in text
    ]
    assert missing == []
    status = decisions_page.STATUS.search(text)
    assert status
    assert re.match("accepted|superseded", status[1], re.IGNORECASE)


def test_the_table_of_decisions_holds_each_with_its_title_and_status() -> None:
    table = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert table == decisions_page.page(decisions_page.ADR), "run python -m scripts.decisions"
    assert "unknown" not in table


PLAIN = [path for path in PAGES if path not in {"benchmarks/HISTORY.md", "docs/glossary.md"}]
RIDDLES = re.compile(
    r"\b(whoever|nobody|somebody|so many|what serves|dear|is told|are told|step(?:s|ped)? back)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", PLAIN)
def test_a_page_uses_plain_words(path: str) -> None:
    """CONTRIBUTING.md, Words: any caller, no process, reports, this many, the live version."""
    assert RIDDLES.findall(FENCE.sub("", (ROOT / path).read_text())) == []


def test_every_decision_that_code_and_documents_cite_exists() -> None:
    numbers = {page.name[:4] for page in decisions()}
    unknown = [
        f"{path}: {number}"
        for path in TEXTS
        for number in re.findall(r"\bADR (\d{4})\b", (ROOT / path).read_text())
        if number not in numbers
    ]
    assert unknown == []


def test_every_command_that_a_page_shows_exists() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    shown = {
        (path, command)
        for path in PAGES
        for command in re.findall(
            r"(?:understudy|-m understudy) ([a-z][a-z-]+)\b", _code((ROOT / path).read_text())
        )
    }
    assert len(shown) > 20
    assert {one for one in shown if one[1] not in group.commands} == set()


def test_every_module_that_a_page_runs_exists() -> None:
    missing = {
        f"{path}: {module}"
        for path in PAGES
        if path != "benchmarks/HISTORY.md"
        for named in re.findall(r"python -m ([a-z_.]+)", (ROOT / path).read_text())
        # a copy that its reader makes first
        for module in [named.replace("usecases.mine", "usecases.fraud")]
        if module.split(".")[0] in OWN_PACKAGES and find_spec(module.rstrip(".")) is None
    }
    assert missing == set()


def _code(page: str) -> str:
    """The code of a page: fenced blocks and what stands between backticks."""
    return "\n".join([*FENCE.findall(page), *re.findall(r"`([^`\n]+)`", FENCE.sub("", page))])


COMMANDS_PAGE = ROOT / "docs" / "operations" / "commands.md"


def every_command(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Name and help of every command, of groups inside groups too."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command.help or ""
        if isinstance(command, TyperGroup):
            yield from every_command(command, (*path, name))


def documented_statuses() -> dict[str, set[str]]:
    """The rows of the page's table: a command and what it may end with beside an error."""
    page = COMMANDS_PAGE.read_text().partition("## Exit status")[2]
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `")]
    found = {}
    for name, zero, one, _two, three in rows:
        texts = {"0": zero, "1": one, "3": three}
        found[name.strip(" `")] = {number for number, text in texts.items() if text.strip()}
    return found


def test_the_exit_statuses_of_every_command_are_on_the_page_as_its_help_says_them() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    said = {}
    for name, shown in every_command(group):
        status = re.search(r"\*\*Exit status\*\*:(.*?)(\n\n|$)", shown, re.DOTALL)
        numbers = set(re.findall(r"\b([0-3])\b(?= [a-zA-Z])", status[1])) if status else set()
        if numbers & {"1", "3"}:
            said[name] = numbers - {"2"}
    assert documented_statuses() == said
