"""A damaged or unusual journal under a running service: it starts, it drains, and it says so."""

import os
from pathlib import Path

import orjson
import pytest

from api.journal.drain import Drain
from api.journal.frames import frame
from api.journal.journal import Journal
from api.journal.segments import Checkpoint, Position, segment_path
from api.journal.sink import DatabaseSink
from api.journal.writer import InProcessWriter, WrittenBatch
from api.settings import Settings
from shared.tables.engine import connect
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.journals import Seen, row


class LateWriter(InProcessWriter):
    """Another row comes in before the first batch is carried, behind a full segment."""

    def __init__(self, directory: Path, sink: DatabaseSink, journal: Journal) -> None:
        super().__init__(directory, sink, batch=3)
        self._journal: Journal | None = journal

    def write_batch(self, begin: Position, end: Position) -> WrittenBatch:
        if self._journal is not None:
            self._journal.append([row("late")])
            self._journal = None
        return super().write_batch(begin, end)


def ids(server: Running) -> set[str]:
    return {str(stored["transaction_id"]) for stored in stored_rows(server.service.database.engine)}


def journal_of(server: Running) -> dict[str, object]:
    part: dict[str, object] = server.client.get("/api/health").json()["components"]["journal"]
    return part


def left_behind(folder: Path, *names: str) -> Path:
    """The segment of a process that was killed before it drained these."""
    journal = Journal(folder, 1024 * 1024)
    journal.open()
    journal.append([row(name) for name in names])
    journal.close()
    return segment_path(folder, 1)


def test_a_segment_that_is_full_when_a_round_begins_leaves_nothing_to_complain_of(
    settings: Settings, tmp_path: Path
) -> None:
    engine = connect(settings.database_url.get_secret_value())
    journal = Journal(tmp_path / "j", 64 * 1024)
    journal.open()
    # The round ends where the next segment begins: behind its last record nothing is left to
    # read before that.
    journal.append([row("a", reason_codes='"' + "x" * 5_000 + '"'), row("b"), row("c")])
    span = journal.undrained()
    assert span is not None
    assert span[1] == Position(2, 0)
    writer = LateWriter(tmp_path / "j", DatabaseSink(engine), journal)
    drain = Drain(journal, writer, Seen().events(), 60)
    drain.start()
    drain.stop()
    assert drain.trouble is None
    assert {stored["transaction_id"] for stored in stored_rows(engine)} >= {"a", "b", "c"}
    engine.dispose()
    journal.close()


def test_a_damaged_record_is_told_by_health_and_figures_and_the_others_are_stored(
    settings: Settings,
) -> None:
    segment = left_behind(settings.journal_dir, "a", "b", "c")
    raw = bytearray(segment.read_bytes())
    raw[len(frame(row("a"))) + 40] ^= 1
    segment.write_bytes(raw)
    with Running(settings) as server:
        server.drained()
        assert ids(server) == {"a", "c"}
        told = journal_of(server)
        assert told["state"] == "degraded"
        assert "*.damaged" in str(told["detail"])
        assert server.client.get("/readyz").status_code == 200
        text = server.client.get("/metrics").text
        assert 'understudy_journal_damage_total{kind="damaged"} 1.0' in text
        assert "understudy_journal_damaged_parts 1.0" in text
        # Whoever has examined it takes it away.
        next(settings.journal_dir.glob("*.damaged")).unlink()
        assert journal_of(server)["state"] == "ok"


def test_after_a_position_that_does_not_fit_the_backlog_is_what_is_not_drained(
    settings: Settings,
) -> None:
    left_behind(settings.journal_dir, "a", "b", "c")
    path = settings.journal_dir / "checkpoint.json"
    path.write_bytes(orjson.dumps({"segment": 1, "offset": 10**9}))
    slow = settings.model_copy(update={"journal_drain_seconds": 60})
    with Running(slow) as server:
        assert server.score(amount=1.0, transaction_id="later").status_code == 200
        figures = journal_of(server)["figures"]
        assert isinstance(figures, dict)
        assert figures["backlog"] == 4
    with Running(settings) as server:
        assert ids(server) == {"a", "b", "c", "later"}


def test_whatever_else_lies_in_its_folder_the_service_starts_drains_and_answers(
    settings: Settings,
) -> None:
    folder = settings.journal_dir
    left_behind(folder, "a", "b")
    (folder / "lock").unlink()
    for name in ("lock", "checkpoint.json", "set-aside.jsonl", "000000000007.journal", "worker-x",
                 "worker-1", "notes", "000000000001-0.damaged"):  # fmt: skip
        (folder / name).unlink() if (folder / name).is_file() else None
        (folder / name).mkdir()
    for name in ("5.journal", "٣٣٣٣٣٣٣٣٣٣٣٣.journal", "0000000000012.journal", "x.journal",
                 "worker-2", "x.unreadable", ".hidden", "a\nb"):  # fmt: skip
        (folder / name).write_bytes(b"somebody's")
    os.mkfifo(folder / "000000000008.journal")
    (folder / "000000000009.journal").symlink_to("/proc/self/mem")
    (folder / "000000000010.journal").symlink_to("nowhere")
    with Running(settings) as server:
        assert server.score(amount=1.0, transaction_id="later").status_code == 200
        server.service.journaling.journal.append([row("refused", amount=-1.0)])
        server.drained()
        assert ids(server) == {"a", "b", "later"}
        assert server.client.get("/readyz").status_code == 200
        assert journal_of(server)["state"] == "degraded"
        assert server.client.get("/metrics").status_code == 200
    assert b"refused" in (folder / "set-aside-1.jsonl").read_bytes()
    assert (folder / "5.journal").read_bytes() == b"somebody's"
    with Running(settings) as server:
        assert server.score(amount=1.0, transaction_id="later").status_code == 200


@pytest.mark.parametrize("changes", [
    {"component_scores": "null"}, {"component_scores": "[]"}, {"component_scores": '{"a":"b"}'},
    {"model_version": None}, {"model_version": 7}, {"event_time": "noon"}, {"user_id": None},
    {"amount": None},
])  # fmt: skip
def test_a_record_that_makes_no_sense_does_not_stop_a_start(
    settings: Settings, changes: dict[str, object]
) -> None:
    journal = Journal(settings.journal_dir, 1024 * 1024)
    journal.open()
    journal.append([row("odd", **changes), row("a")])
    journal.close()
    with Running(settings) as server:
        server.drained()
        assert "a" in ids(server)


@pytest.mark.parametrize("position", [Position(1, 10**9), Position(1, 3), Position(77, 5)])
def test_the_journal_of_another_worker_is_drained_whatever_its_position_says(
    settings: Settings, position: Position
) -> None:
    folder = settings.journal_dir / "worker-3"
    left_behind(folder, "a", "b")
    Checkpoint(folder / "checkpoint.json").save(position, durable=False)
    copy = settings.journal_dir / "worker-3-copy"
    left_behind(copy, "not ours")
    with Running(settings) as server:
        wait_for_orphans(server)
        assert ids(server) == {"a", "b"}
    assert not list(folder.glob("*.journal"))
    assert list(copy.glob("*.journal"))


def wait_for_orphans(server: Running) -> None:
    folder = server.settings.journal_dir / "worker-3"
    wait_until(lambda: not list(folder.glob("*.journal")), 30)


def test_a_journal_of_another_worker_that_cannot_be_taken_over_is_told(
    settings: Settings,
) -> None:
    folder = settings.journal_dir / "worker-3"
    slot = Journal(folder, 1024 * 1024)
    slot.open()
    slot.append([row("a")])
    with Running(settings) as server:
        wait_until(lambda: journal_of(server)["state"] == "degraded")
        assert "another worker" in str(journal_of(server)["detail"])
        slot.close()
        wait_for_orphans(server)
        assert ids(server) == {"a"}
        wait_until(lambda: journal_of(server)["state"] == "ok")
