import base64
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine

from api.journal.drain import Drain
from api.journal.entries import COLUMNS, decode, decode_row, encode_label
from api.journal.journal import Journal
from api.journal.segments import Position
from api.journal.sink import DatabaseSink, JournalRecord, Stored
from api.journal.writer import InProcessWriter, WrittenBatch
from api.settings import Settings
from shared.errors import DataUnavailable
from shared.tables.engine import connect
from shared.transaction import Label
from tests.api.server import wait_until
from tests.api.tiny import stored_rows
from tests.support.journals import Seen, row


class AwaySink:
    """A database that is away for the first calls."""

    def __init__(self, inner: DatabaseSink, away: int) -> None:
        self._inner = inner
        self.away = away

    def prepare(self) -> None:
        self._inner.prepare()

    def store(self, records: Sequence[JournalRecord]) -> Stored:
        if self.away:
            self.away -= 1
            raise DataUnavailable("nobody there")
        return self._inner.store(records)


class BusyWriter(InProcessWriter):
    """While it carries, another row comes in."""

    def __init__(self, directory: Path, sink: DatabaseSink, journal: Journal) -> None:
        super().__init__(directory, sink, batch=2)
        self._journal = journal
        self.batches: list[int] = []

    def write_batch(self, begin: Position, end: Position) -> WrittenBatch:
        self._journal.append([row(f"meanwhile-{len(self.batches)}")])
        written = super().write_batch(begin, end)
        self.batches.append(written.count)
        return written


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = connect(settings.database_url.get_secret_value())
    yield made
    made.dispose()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "j", 1024 * 1024)
    made.open()
    yield made
    made.close()


def without_a_sender(record: bytes) -> bytes:
    """As it was written when a record did not say who sent the row."""
    decided = decode_row(record)
    assert isinstance(decided, tuple)
    *values, sent_by, vector = decided
    assert sent_by is None
    header = struct.pack("<BHH", 2, len(values[0]), len(vector))
    return b"".join((header, values[0].encode(), vector, orjson.dumps(values)))


def lists_in_place_of_text(record: bytes) -> bytes:
    """As it was written when JSON columns were lists and objects within the record."""
    decided = decode(record)
    assert isinstance(decided, tuple)
    *values, _sent_by, vector = decided
    header = struct.pack("<BHH", 1, len(values[0]), len(vector))
    return b"".join((header, values[0].encode(), vector, orjson.dumps(values)))


def one_json_object(record: bytes) -> bytes:
    """As it was written when a record was JSON throughout."""
    decided = decode(record)
    assert isinstance(decided, tuple)
    said = dict(zip(COLUMNS, decided, strict=True))
    del said["sent_by"]
    said["feature_vector"] = base64.b64encode(said["feature_vector"]).decode()
    return orjson.dumps({"decision": said})


def drain_of(journal: Journal, sink: Any, seen: Seen, tmp_path: Path) -> Drain:
    return Drain(journal, InProcessWriter(tmp_path / "j", sink), seen.events(), 0.01)


def ids(engine: Engine) -> set[str]:
    return {stored["transaction_id"] for stored in stored_rows(engine)}


def test_decisions_and_labels_arrive_in_order(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    seen = Seen()
    drain = drain_of(journal, DatabaseSink(engine), seen, tmp_path)
    journal.append([row("a"), encode_label(Label("a", 1, 5, "feedback")), row("b")])
    drain.start()
    drain.stop()
    by_id = {stored["transaction_id"]: stored for stored in stored_rows(engine)}
    assert set(by_id) == {"a", "b"}
    assert (by_id["a"]["label"], by_id["a"]["label_known_at"]) == (1, 5)
    assert by_id["a"]["feature_vector"] == bytes(8)
    assert seen.stored[0].transaction_ids == ["a", "b"]
    assert journal.backlog == 0


def test_what_comes_in_during_a_round_waits_for_the_next(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    writer = BusyWriter(tmp_path / "j", DatabaseSink(engine), journal)
    drain = Drain(journal, writer, Seen().events(), 60)
    journal.append([row("a"), row("b"), row("c")])
    drain.start()
    drain.stop()
    assert writer.batches == [2, 1]
    assert ids(engine) == {"a", "b", "c"}
    assert journal.backlog == 2


def test_a_batch_that_is_repeated_has_the_effect_of_one(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    journal.append([row("a"), encode_label(Label("a", 1, 5, "feedback"))] * 2)
    drain = drain_of(journal, DatabaseSink(engine), Seen(), tmp_path)
    drain.start()
    drain.stop()
    assert len(stored_rows(engine)) == 1


def test_while_the_database_is_away_decisions_wait(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    sink = AwaySink(DatabaseSink(engine), away=2)
    drain = drain_of(journal, sink, Seen(), tmp_path)
    journal.append([row("a")])
    drain.start()
    wait_until(lambda: drain.trouble is not None)
    journal.append([row("b")])
    wait_until(lambda: journal.backlog == 0)
    wait_until(lambda: drain.trouble is None)
    drain.stop()
    assert ids(engine) == {"a", "b"}


def test_a_row_the_database_refuses_is_set_aside_and_the_others_are_stored(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    seen = Seen()
    drain = drain_of(journal, DatabaseSink(engine), seen, tmp_path)
    journal.append([row("a"), row("bad", amount=-1.0), row("b"), row("none", model_version=None)])
    drain.start()
    drain.stop()
    assert ids(engine) == {"a", "b"}
    aside = [json.loads(line) for line in (tmp_path / "j/set-aside.jsonl").read_text().splitlines()]
    assert {line["record"]["transaction_id"] for line in aside} == {"bad", "none"}
    assert seen.refused == ["decision", "decision"]


def test_a_label_nobody_has_a_transaction_for_is_set_aside(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    seen = Seen()
    drain = drain_of(journal, DatabaseSink(engine), seen, tmp_path)
    journal.append([encode_label(Label("nobody", 1, 5, "feedback"))])
    drain.start()
    drain.stop()
    assert "nobody" in (tmp_path / "j/set-aside.jsonl").read_text()
    assert seen.refused == ["label"]


def test_a_record_of_another_program_does_not_stop_the_drain(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    drain = drain_of(journal, DatabaseSink(engine), Seen(), tmp_path)
    journal.append([b"not json", b"{}", b"[]", row("a")])
    drain.start()
    drain.stop()
    assert ids(engine) == {"a"}
    assert len((tmp_path / "j/set-aside.jsonl").read_text().splitlines()) == 3


def test_a_value_that_cannot_be_counted_is_set_aside(
    journal: Journal, engine: Engine, tmp_path: Path
) -> None:
    drain = drain_of(journal, DatabaseSink(engine), Seen(), tmp_path)
    journal.append([row("a"), row("bad", event_time="noon"), row("b")])
    drain.start()
    drain.stop()
    assert ids(engine) == {"a", "b"}
    assert journal.backlog == 0


@pytest.mark.parametrize("older", [without_a_sender, lists_in_place_of_text, one_json_object])
def test_a_record_that_an_older_version_wrote_becomes_the_same_row(
    journal: Journal, engine: Engine, tmp_path: Path, older: Callable[[bytes], bytes]
) -> None:
    now = row("t", matched_rules='["fast"]', reason_codes='[{"code":"R","value":1.5}]')
    assert decode(older(now)) == decode(now)
    drain = drain_of(journal, DatabaseSink(engine), Seen(), tmp_path)
    journal.append([older(now)])
    drain.start()
    drain.stop()
    (stored,) = stored_rows(engine)
    assert stored["component_scores"] == {"classifier": 0.5}
    assert stored["reason_codes"] == [{"code": "R", "value": 1.5}]
    assert stored["feature_vector"] == bytes(8)
