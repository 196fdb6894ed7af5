"""`understudy replay` on a small real world, and what it says to questions without an answer."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scheduler.replay.plan import ReplayImpossible
from shared.clock import to_micros
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_history_records
from simulator.history import COLUMNS, records, relive
from simulator.world import build_world
from understudy.cli import app

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/var/understudy.db"
    engine = connect(url)
    migrate(engine)
    world = build_world(7, customers=60, merchants=200)
    past = relive(world, to_micros(NOW), 70, crime_share=0.1)
    with engine.begin() as connection:
        for batch in records(world, past):
            write_history_records(connection, COLUMNS, batch)
    engine.dispose()
    return url


def test_a_replay_prints_writes_and_goes_on_where_it_was(world: str, tmp_path: Path) -> None:
    day = f"{NOW - timedelta(days=14):%Y-%m-%d}"
    asked = ["replay", "--from", day, "--to", day, "--work", str(tmp_path / "replay")]
    environment = {"DATABASE_URL": world, "LATENCY_BUDGET_MS": "1000"}
    done = CliRunner().invoke(app, [*asked, "--json"], env=environment)
    assert done.exit_code == 0, done.output
    # in a test nobody has sent the log to standard error, as the program does
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (told["rounds"], told["promoted"]) == (1, 1), done.output
    assert set(told["policies"]) == {"never retrain", "always promote", "this gate"}
    with Path(told["csv"]).open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert "<svg" in Path(told["page"]).read_text()

    again = CliRunner().invoke(app, asked, env=environment)
    assert "1 of 1 rounds were finished earlier" in again.stderr
    assert "promoted 1.0.0" in again.stdout
    assert "replay.html" in again.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--from", "2025-12-01", "--to", "2025-11-01"), "the range is empty"),
        (("--from", "2031-01-01", "--to", "2031-02-01"), "no history there: it reaches from"),
        (("--from", "2025-12-01", "--every", "often"), "--every: 'often' is not an interval"),
        (("--from", "yesterday"), "--from: 'yesterday' is not a date"),
    ],
)
def test_a_question_without_an_answer_says_what_to_ask(
    world: str, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    asked = ["replay", *options, "--work", str(tmp_path / "replay")]
    done = CliRunner().invoke(app, asked, env={"DATABASE_URL": world})
    assert isinstance(done.exception, ReplayImpossible)
    assert told in str(done.exception)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "nowhere.db"
    asked = ["replay", "--from", "2025-12-01"]
    done = CliRunner().invoke(app, asked, env={"DATABASE_URL": f"sqlite:///{file}"})
    assert isinstance(done.exception, ReplayImpossible)
    assert "understudy import" in str(done.exception)
    assert not file.exists()
