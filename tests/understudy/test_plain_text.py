"""No text of data is markup: what is printed is found again in the output, unchanged."""

import ast
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from shared.printable import printable
from shared.tables.engine import connect, migrate
from shared.tables.runs import RunStatus, claim_next, finish, request_run
from tests.support.command_line import Command
from understudy.terminal import DataConsole, DataTable, styled

ROOT = Path(__file__).parents[2]
MARKUP = st.sampled_from(["[fault]", "[/red]", "[bold]", ":smile:", "[link=x]", "\\[", "\x1b[31m"])
VISIBLE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp", "Zs", "Mn", "Me")))
TEXTS = st.lists(MARKUP | VISIBLE, max_size=6).map("".join)
HOSTILE = "[fault] [/red] :smile: \x1b[31mred\x07"


def printed(*things: object, width: int = 10_000) -> str:
    file = io.StringIO()
    DataConsole(file=file, width=width).print(*things, soft_wrap=True)
    return file.getvalue()


@given(TEXTS)
def test_any_text_that_is_printed_is_found_again_unchanged(text: str) -> None:
    assert printed(text) == printable(text) + "\n"
    assert printed(styled(text, "red")) == printable(text) + "\n"


@given(TEXTS, st.integers(12, 80))
def test_any_text_in_a_table_is_found_again_however_narrow_the_table(text: str, width: int) -> None:
    table = DataTable(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_row(text)
    shown = printed(table, width=width)
    assert "".join(shown.split()) == "".join(printable(text).split())
    assert all(cell_len(line) <= width for line in shown.splitlines())


def test_a_terminal_with_colours_gets_no_escape_sequence_of_the_data() -> None:
    file = io.StringIO()
    DataConsole(file=file, force_terminal=True, color_system="truecolor").print(HOSTILE)
    assert "\x1b" not in file.getvalue()
    assert "\u241b[31mred\u2407" in file.getvalue()


def test_a_run_is_listed_with_brackets_and_tags_as_they_were_written(
    understudy: Command, tmp_path: Path
) -> None:
    engine = connect(f"sqlite:///{tmp_path}/var/understudy.db")
    migrate(engine)
    run_id = request_run(engine, "retraining", 1_800_000_000_000_000, "schedule")
    claim_next(engine)
    verdict = {"gate": "data[/b]", "outcome": "FAIL", "reason": HOSTILE}
    finish(
        engine, run_id, RunStatus.FAILED, "error", HOSTILE,
        model_version="1.0.0[/red]", verdicts=[verdict],
    )  # fmt: skip
    engine.dispose()
    for arguments in (("runs",), ("runs", "show", str(run_id))):
        shown = understudy(*arguments, COLUMNS="200")
        assert shown.returncode == 0, shown.stderr
        assert printable(HOSTILE) in shown.stdout
        assert "1.0.0[/red]" in shown.stdout
        assert "\x1b" not in shown.stdout


def test_an_error_that_names_data_is_one_line_with_its_brackets(understudy: Command) -> None:
    done = understudy("audit", "[fault]\n\x1b[31m.jsonl")
    assert done.returncode == 2
    assert (done.stderr.count("\n"), "\x1b" in done.stderr) == (1, False)
    assert "[fault]" in done.stderr


def test_output_that_cannot_show_a_character_shows_its_code_instead_of_failing(
    understudy: Command,
) -> None:
    done = understudy("audit", "caf\u00e9.jsonl", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, "caf\\xe9.jsonl" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "understudy").rglob("*.py")), ids=str)
def test_every_command_prints_through_the_one_console_and_table(path: Path) -> None:
    if path.name == "terminal.py":
        return
    made = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not made & {"Console", "Table", "Panel", "Text"}
