"""The commands do what their help says, and say in one line what they cannot do."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import typer.main
from typer.testing import CliRunner

from shared.keys.tokens import Role, ensure_tokens, read_token
from tests.support.existing_database import make_database
from understudy import commands
from understudy.cli import app, commands_of
from understudy.commands import PANELS, SUMMARIES

Command = Callable[..., "subprocess.CompletedProcess[str]"]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
MAPPING = """
[columns]
transaction_id = "id"
user_id = "user"
event_time = "when"
amount = "amount"
merchant_id = "shop"
"""


def _rows(folder: Path) -> int:
    with sqlite3.connect(folder / "var" / "understudy.db") as database:
        [(rows,)] = database.execute("SELECT count(*) FROM TransactionHistoryLogs")
    database.close()
    return int(rows)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_teaches_by_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert f"understudy {command}" in shown.output.split("Examples")[1]


def test_every_command_stands_in_a_group_of_the_help() -> None:
    assert sorted(" ".join(PANELS.values()).split()) == COMMANDS
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    places = [shown.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)


def test_the_list_of_commands_is_that_of_their_modules_in_their_own_words() -> None:
    folder = Path(commands.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "options"}
    assert set(SUMMARIES) == modules
    for module, summaries in SUMMARIES.items():
        found = commands_of(module)
        assert set(summaries) == set(found)
        for name, summary in summaries.items():
            assert " ".join((found[name].help or "").split()).startswith(summary)


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nsys.argv[1:] = ['--help']\n"
        "from understudy.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('sqlalchemy', 'numpy', 'httpx', 'pydantic', 'structlog', 'cryptography')\n"
        "loaded = [one for one in sys.modules if one.startswith('understudy.commands.')]\n"
        "print('loaded:', loaded + [one for one in heavy if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert "Play the life of a model" in done.stdout


def test_an_empty_database_is_seeded_once(understudy: Command, tmp_path: Path) -> None:
    first = understudy("seed", "--customers", "20", "--days", "20")
    assert first.returncode == 0, first.stderr
    rows = _rows(tmp_path)
    assert rows > 500
    again = understudy("seed", "--customers", "20", "--days", "20")
    assert again.returncode == 0
    assert "has transactions" in again.stderr
    assert _rows(tmp_path) == rows


def test_seeding_can_be_switched_off(understudy: Command, tmp_path: Path) -> None:
    done = understudy("seed", SEED_EMPTY_DATABASE="false")
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)
    assert not (tmp_path / "var").exists()


def test_a_file_is_imported_and_what_was_rejected_lies_beside_it(
    understudy: Command, tmp_path: Path
) -> None:
    file, mapping = tmp_path / "mine.csv", tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    good = {"id": "a", "user": "u", "when": "2026-01-05T10:00:00Z", "amount": 5.0, "shop": "m"}
    bad = {**good, "id": "b", "amount": -5.0}
    pl.DataFrame([good, bad]).write_csv(file)
    done = understudy("import", file, "--mapping", mapping)
    assert done.returncode == 0, done.stderr
    assert _rows(tmp_path) == 1
    assert "amount is negative" in done.stdout
    assert "amount is negative" in (tmp_path / "mine.csv.rejected.csv").read_text()


def test_a_column_that_is_missing_is_one_line_and_writes_nothing(
    understudy: Command, tmp_path: Path
) -> None:
    file, mapping = tmp_path / "mine.csv", tmp_path / "mapping.toml"
    mapping.write_text(MAPPING)
    pl.DataFrame({"id": ["a"], "user": ["u"]}).write_csv(file)
    done = understudy("import", file, "--mapping", mapping)
    assert done.returncode == 2
    assert done.stderr.startswith("error: mine.csv has no column 'when' (for event_time)")
    assert done.stderr.rstrip().endswith("it has id, user")
    assert _rows(tmp_path) == 0


def test_a_token_is_printed_alone(understudy: Command, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    ensure_tokens(keys, [Role.OPERATOR])
    done = understudy("token", "operator", KEYS_DIR=str(keys))
    assert done.stdout == read_token(keys, Role.OPERATOR) + "\n"
    missing = understudy("token", "alert", KEYS_DIR=str(keys))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no alert token" in missing.stderr


def test_a_database_url_that_cannot_work_is_one_line_and_keeps_nothing(
    understudy: Command,
) -> None:
    for url in ("sqlite://", "sqlite://var/x.db", "postgresql://u:pw@db1.invalid:port/name"):
        done = understudy("seed", DATABASE_URL=url)
        assert (done.returncode, done.stdout) == (2, "")
        assert "DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr
        assert "pw@" not in done.stderr


def test_a_setting_that_does_not_parse_is_named_with_its_remedy(understudy: Command) -> None:
    done = understudy("seed", API_PORT="eighty")
    assert done.returncode == 2
    assert "API_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_tiles_can_be_counted_again(understudy: Command, tmp_path: Path) -> None:
    make_database(tmp_path)
    done = understudy("rebuild-tiles")
    assert (done.returncode, done.stdout) == (0, "0 tiles\n")


def test_traffic_without_an_api_says_so_and_fails(understudy: Command) -> None:
    done = understudy(
        "traffic", "--count", "3", "--rate", "50", "--customers", "20",
        API_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 1
    # three rows, and the batches of the customers' past before them
    assert re.search(r"[0-9]+ failed, ConnectError: [0-9]+", done.stdout)


@pytest.mark.slow
def test_labels_with_the_wrong_instant_are_right_after_an_undo_and_an_import(
    understudy: Command, tmp_path: Path
) -> None:
    """The remedy of docs/data-quality.md; a repeated import alone changes none of them."""
    file, mapping = tmp_path / "mine.csv", tmp_path / "mapping.toml"
    row = {"id": "a", "user": "u", "when": "2026-01-05T10:00:00Z", "amount": 5.0, "shop": "m"}
    pl.DataFrame([{**row, "bad": 1, "exported": "2026-11-01T00:00:00Z"}]).write_csv(file)

    def known_after(columns: str) -> int:
        mapping.write_text(MAPPING + columns)
        assert understudy("import", file, "--mapping", mapping).returncode == 0
        with sqlite3.connect(tmp_path / "var" / "understudy.db") as database:
            [(known,)] = database.execute("SELECT label_known_at FROM TransactionHistoryLogs")
        database.close()
        return int(known)

    wrong = known_after('label = "bad"\nlabel_known_at = "exported"\n')
    assert known_after('label = "bad"\n') == wrong
    for number in ("2", "1"):
        undone = understudy("rows", "undo", number, "--reason", "wrong column", "--yes")
        assert undone.returncode == 0, undone.stderr
    assert known_after('label = "bad"\n') < wrong
