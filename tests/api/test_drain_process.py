"""The drain in a separate process: it carries, it may die, and it never outlives its purpose."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.journal.journal import Journal
from api.journal.segments import Position, segment_path
from api.journal.sink import DatabaseSink
from api.journal.subprocess_writer import ChildDied, SubprocessWriter
from api.journal.writer import InProcessWriter
from api.settings import Settings
from benchmarks.services import children_of
from shared.errors import DataUnavailable
from shared.tables.engine import connect
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.journals import row


@pytest.fixture
def isolated(settings: Settings) -> Settings:
    return settings.model_copy(update={"journal_drain_in": "process"})


def children() -> list[int]:
    """Processes started by this one."""
    return children_of(os.getpid())


def drain_of(before: list[int]) -> int:
    (pid,) = set(children()) - set(before)
    return pid


def drained(server: Running) -> None:
    # A process that starts at low priority takes its time on a busy machine.
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 60)


def test_a_relative_path_is_the_same_file_in_the_drain_whose_folder_is_another(
    isolated: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    given = {"database_url": "sqlite:///var/relative.db", "journal_dir": "var/journal"}
    settings = Settings.model_validate({**isolated.model_dump(), **given})
    with Running(settings) as server:
        server.score(amount=1.0, transaction_id="here")
        drained(server)
        rows = stored_rows(connect(f"sqlite:///{folder}/var/relative.db"))
    assert [row["transaction_id"] for row in rows] == ["here"]


def test_a_drain_that_is_killed_is_replaced_and_nothing_is_lost(isolated: Settings) -> None:
    before = children()
    with Running(isolated) as server:
        server.score(amount=1.0, transaction_id="a")
        drained(server)
        first = drain_of(before)
        assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(os.PRIO_PROCESS, 0)
        os.kill(first, signal.SIGKILL)
        server.score(amount=1.0, transaction_id="b")
        drained(server)
        second = drain_of(before)
        assert second != first
        assert {row["transaction_id"] for row in stored_rows(server.service.database.engine)} == {
            "a",
            "b",
        }
        # A retry is answered from memory or from the database alike.
        assert server.score(amount=1.0, transaction_id="a").json()["probability"] == 0.5
        wait_until(lambda: server.service.journaling.drain.trouble is None)
    wait_until(lambda: children() == before, 30)


@pytest.fixture
def writer(settings: Settings, tmp_path: Path) -> Iterator[SubprocessWriter]:
    url = settings.database_url.get_secret_value()
    made = SubprocessWriter(tmp_path / "j", url, DatabaseSink(connect(url)))
    yield made
    made.close()


def test_it_does_and_tells_what_a_drain_in_this_process_does_and_tells(
    writer: SubprocessWriter, settings: Settings, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "j", 1024 * 1024)
    journal.open()
    journal.append([row("a"), row("bad", amount=-1.0), b"not a record", row("damaged"), row("b")])
    segment = segment_path(tmp_path / "j", 1)
    segment.write_bytes(segment.read_bytes().replace(b'"damaged"', b'"dmgd..."'))
    span = journal.undrained()
    assert span is not None
    isolated = writer.write_batch(*span)
    engine = connect(settings.database_url.get_secret_value())
    here = InProcessWriter(tmp_path / "j", DatabaseSink(engine)).write_batch(*span)
    assert (isolated.position, isolated.count) == (here.position, here.count)
    assert isolated.damage == here.damage
    assert [region.kind for _, region in isolated.damage] == ["damaged"]
    assert sorted(isolated.refused) == sorted(here.refused)
    assert [name for part in isolated.stored for name in part.transaction_ids] == ["a", "b"]
    assert {stored["transaction_id"] for stored in stored_rows(engine)} == {"a", "b"}
    assert writer.write_batch(isolated.position, span[1]).count == 0
    engine.dispose()
    journal.close()


def test_a_child_that_died_before_it_was_asked_is_replaced_at_the_next_batch(
    writer: SubprocessWriter, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "j", 1024 * 1024)
    journal.open()
    journal.append([row("a")])
    span = journal.undrained()
    assert span is not None
    assert writer.write_batch(*span).count == 1
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    # Dead, and its end of the pipe closed: telling it anything fails.
    wait_until(lambda: writer.pid not in children())
    with pytest.raises(ChildDied):
        writer.write_batch(*span)
    assert writer.write_batch(*span).count == 1
    journal.close()


def test_a_database_that_is_away_is_told_as_such(writer: SubprocessWriter, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 1024 * 1024)
    journal.open()
    journal.append([row("a")])
    (tmp_path / "understudy.db").unlink()
    (tmp_path / "understudy.db").mkdir()
    with pytest.raises(DataUnavailable):
        writer.write_batch(Position(0, 0), Position(9, 0))
    journal.close()


def test_while_another_process_holds_the_database_scoring_goes_on(settings: Settings) -> None:
    path = settings.journal_dir.parent / "understudy.db"
    with Running(settings) as server:
        slot = sqlite3.connect(path, isolation_level=None)
        slot.execute("BEGIN EXCLUSIVE")
        first = server.score(amount=1.0, user_id="u", transaction_id="t")
        assert first.status_code == 200
        assert server.score(amount=1.0, user_id="u").json()["seen_before"] == 1
        assert server.service.journaling.journal.backlog == 2
        wait_until(lambda: "understudy_journal_lag_seconds 0.0" not in metrics_of(server))
        assert server.client.get("/readyz").status_code == 200
        slot.execute("ROLLBACK")
        slot.close()
        server.drained()
        assert len(stored_rows(server.service.database.engine)) == 2
        assert "understudy_journal_lag_seconds 0.0" in metrics_of(server)


def metrics_of(server: Running) -> str:
    return server.client.get("/metrics").text
