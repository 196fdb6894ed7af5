"""`understudy journal drain`: the journal of a lost host, from its volume into the database."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from api.journal.entries import DEFAULT_FORMAT, encode_label
from api.journal.journal import Journal
from api.journal.orphaned import LostJournal
from shared.errors import SettingsError
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs as logs
from shared.transaction import Label
from tests.support.command_line import Command
from tests.support.journals import FEATURES, decided, journal_of

MIB = 2**20


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "var").mkdir()
    engine = connect(f"sqlite:///{tmp_path}/var/understudy.db")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A lost host's JOURNAL_DIR with three decisions and a label."""
    label = Label("t1", 1, label_known_at_us=5, label_source="desk", label_sent_by="feedback")
    records = [*map(decided, ("t1", "t2", "t3")), encode_label(label)]
    return journal_of(tmp_path / "volume", *records)


def lost(folder: Path) -> LostJournal:
    return LostJournal(folder, DEFAULT_FORMAT, FEATURES)


def stored(engine: Engine) -> dict[str, int | None]:
    query = select(logs.c.transaction_id, logs.c.label)
    with engine.connect() as connection:
        return {row.transaction_id: row.label for row in connection.execute(query)}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_waits_is_stored_once_and_the_command_may_be_repeated(
    engine: Engine, volume: Path
) -> None:
    counts = lost(volume).drain(engine)
    assert (counts.new, counts.known, counts.labels) == (3, 0, 1)
    assert stored(engine) == {"t1": 1, "t2": None, "t3": None}
    with pytest.raises(SettingsError, match="holds no journal"):
        lost(volume)


def test_a_drain_that_was_killed_before_it_released_anything_stores_nothing_twice(
    engine: Engine, volume: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(volume, tmp_path / "copy")
    lost(volume).drain(engine)
    counts = lost(copy).drain(engine)
    assert (counts.new, counts.known, counts.superseded) == (0, 3, 0)
    assert len(stored(engine)) == 3


def test_a_row_that_another_host_decided_meanwhile_keeps_that_decision(
    engine: Engine, volume: Path, tmp_path: Path
) -> None:
    other = journal_of(tmp_path / "other", decided("t2", model_version="2.0.0"))
    lost(other).drain(engine)
    counts = lost(volume).drain(engine)
    assert (counts.new, counts.known, counts.superseded) == (2, 1, 1)
    query = select(logs.c.model_version).where(logs.c.transaction_id == "t2")
    with engine.connect() as connection:
        assert connection.scalar(query) == "2.0.0"


def test_folders_of_all_workers_are_drained(engine: Engine, tmp_path: Path) -> None:
    root = tmp_path / "volume"
    for number in (0, 1):
        journal_of(root / f"worker-{number}", decided(f"t{number}"))
    assert lost(root).look().records == {"decision": 2}
    assert lost(root).drain(engine).new == 2


def test_damage_costs_what_it_hit_and_is_kept_in_the_folder(engine: Engine, volume: Path) -> None:
    (segment,) = volume.glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    counts = lost(volume).drain(engine)
    assert (counts.new, counts.damaged) == (2, 1)
    assert len(list(volume.glob("*.damaged"))) == 1


def test_a_journal_that_a_live_process_holds_is_refused(volume: Path) -> None:
    live = Journal(volume, MIB)
    live.open()
    try:
        with pytest.raises(SettingsError, match="a running process writes to this journal"):
            lost(volume)
    finally:
        live.close()


def test_a_journal_of_another_use_case_is_refused_and_left_as_it_is(
    engine: Engine, tmp_path: Path
) -> None:
    volume = journal_of(tmp_path / "volume", decided("t", feature_set_version="churn-1"))
    before = content(volume)
    with pytest.raises(SettingsError, match="USE_CASE: the journal is of another use case"):
        lost(volume).drain(engine)
    assert content(volume) == before
    assert stored(engine) == {}


def test_the_command_counts_first_and_then_drains(
    understudy: Command, engine: Engine, volume: Path
) -> None:
    before = content(volume)
    looked = understudy("journal", "drain", volume, "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "3 of kind decision wait for the database" in looked.stdout
    assert content(volume) == before
    drained = understudy("journal", "drain", volume)
    assert drained.returncode == 0, drained.stderr
    assert "decisions, new in the database" in drained.stdout
    assert len(stored(engine)) == 3
    nothing = understudy("journal", "drain", volume.parent / "nowhere")
    assert nothing.returncode != 0
    assert "holds no journal" in nothing.stderr
