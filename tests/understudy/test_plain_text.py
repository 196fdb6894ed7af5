"""No text of data is markup: what is printed is found again in the output, unchanged."""

import ast
import io
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from api.registry.audit import AuditTrail
from shared.clock import SystemClock
from shared.contracts.rollouts import EndedView, Mode
from shared.printable import printable
from shared.tables.data_changes import begin_change
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import JobSchedule, write_schedule
from shared.tables.runs import RunStatus, claim_next, finish, request_run
from shared.tables.writer import write_history
from tests.support.api_answers import current_model, summary
from tests.support.command_line import Command
from tests.support.existing_database import make_database
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


@given(st.data(), st.integers(20, 100))
def test_a_table_keeps_every_character_of_every_cell_at_any_width(
    data: st.DataObject, width: int
) -> None:
    columns = data.draw(st.lists(st.booleans(), min_size=1, max_size=5))
    row = st.lists(TEXTS, min_size=len(columns), max_size=len(columns))
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    table = DataTable(box=None, pad_edge=False)
    for is_whole in columns:
        table.add_column("[b]", no_wrap=is_whole)
    for cells in rows:
        table.add_row(*cells)
    shown = printed(table, width=width)
    given_texts = ["[b]"] * len(columns) + [printable(cell) for cells in rows for cell in cells]
    assert Counter("".join(shown.split())) == Counter("".join("".join(given_texts).split()))
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


def write_hostile_rows(url: str) -> None:
    """A hostile text in every table that a command prints."""
    engine = connect(url)
    row = {
        "transaction_id": HOSTILE, "user_id": HOSTILE, "event_time": 1_800_000_000_000_000,
        "ingested_at": 1_800_000_000_000_000, "amount": 1.0, "currency": "EUR",
        "merchant_id": HOSTILE, "transaction_type": "[b]",
    }  # fmt: skip
    schedule = JobSchedule("retraining", "1D[/]", True, 0, 0, 0, None, 0, HOSTILE)
    with engine.begin() as connection:
        write_history(connection, [row])
        begin_change(connection, "import", 0, HOSTILE, {"files": [HOSTILE], "rows": 1})
        write_schedule(connection, schedule)
    engine.dispose()


@pytest.mark.parametrize("command", ["rows find", "rows changes", "schedule show"])
def test_text_of_every_table_is_printed_as_it_was_stored(
    understudy: Command, tmp_path: Path, command: str
) -> None:
    write_hostile_rows(make_database(tmp_path))
    shown = understudy(*command.split(), COLUMNS="300")
    assert shown.returncode == 0, shown.stderr
    assert (printable(HOSTILE) in shown.stdout, "\x1b" in shown.stdout) == (True, False)


def test_text_of_the_audit_trail_is_printed_as_it_was_written(
    understudy: Command, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    AuditTrail(path, SystemClock()).write(HOSTILE, HOSTILE, HOSTILE, version=HOSTILE)
    shown = understudy("audit", path, COLUMNS="300")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(printable(HOSTILE)) == 4


class HostileApi(BaseHTTPRequestHandler):
    """An API whose every text is hostile."""

    ended = EndedView(
        mode=Mode.CANARY, version=HOSTILE, champion=HOSTILE, share_percent=5, outcome=HOSTILE,
        reason=HOSTILE, who=HOSTILE, began_at=HOSTILE, ended_at=HOSTILE,
    ).model_dump(mode="json")  # fmt: skip
    answers: ClassVar[dict[str, Any]] = {
        "/models": {"models": [summary(HOSTILE, state=HOSTILE).model_dump(mode="json")]},
        "/current_model": {**current_model(HOSTILE), "last_rollout": ended},
        "/api/health": {
            "status": "degraded",
            "components": {"model": {"state": "degraded", "detail": HOSTILE}},
        },
    }

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.answers[self.path]).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.mark.parametrize("command", ["versions", "status", "rollout", "doctor"])
def test_text_of_the_api_is_printed_as_it_came(understudy: Command, command: str) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), HostileApi) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        shown = understudy(command, API_URL=url, COLUMNS="300")
        server.shutdown()
        thread.join()
    assert shown.returncode in {0, 1}, shown.stderr
    assert (printable(HOSTILE) in shown.stdout, "\x1b" in shown.stdout) == (True, False)


def test_names_of_files_and_columns_are_printed_as_they_are(
    understudy: Command, tmp_path: Path
) -> None:
    file = tmp_path / "[fault][red].csv"
    file.write_text("id[/b],when[/red],amount\n1,2026-01-01,2\n2,2026-01-02,3\n")
    for command in (("mapping", file), ("import", file, "--mapping", file), ("new", "a", "--from",
                    file, "--label", "[bold]")):  # fmt: skip
        done = understudy(*command, COLUMNS="300")
        assert done.returncode in {0, 2}
        assert "Traceback" not in done.stderr
        assert "[fault][red].csv" in done.stdout + done.stderr or "[bold]" in done.stderr


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
