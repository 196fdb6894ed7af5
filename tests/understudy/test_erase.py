"""One entity is erased for good, wherever an installation keeps its rows."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from rich.console import Console
from sqlalchemy import Engine, func, select, text

from scheduler.cycle.held_out import HeldOutStore, digest_path
from scheduler.settings import SchedulerSettings as Settings
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY
from shared.importing.lake import Lake
from shared.rows.row_store import DeclaredRowStore
from shared.rows.tables import row_logs, tables_of
from shared.tables.archive import archive_rows
from shared.tables.data_changes import TRANSACTION_LOGS, list_changes, undo
from shared.tables.engine import connect, migrate
from shared.tables.erasure import digest_of, erase_entity
from shared.tables.row_search import RowFilter
from shared.tables.tiles import rebuild_tiles
from shared.tables.writer import write_decisions, write_history
from tests.support.churn_rows import churn
from understudy.erase import erase, print_erased
from understudy.rows import fix_found, remove_found

MONDAY_US = 1_767_607_200_000_000
GONE, STAYS = "gone@example.org", "stays"


def _row(name: str, user: str, **others: Any) -> dict[str, Any]:
    return {
        "transaction_id": name, "user_id": user, "event_time": MONDAY_US,
        "ingested_at": MONDAY_US, "amount": 12.5, "currency": "EUR", "merchant_id": "m1",
        "transaction_type": "purchase", **others,
    }  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/rows.db")
    migrate(engine)
    with engine.begin() as connection:
        write_history(connection, [_row("h1", GONE), _row("h2", STAYS)])
        scored = {"model_version": "1.0.0", "feature_vector": b"\x01"}
        write_decisions(connection, [_row("a1", GONE, **scored), _row("a2", STAYS, **scored)])
    yield engine
    engine.dispose()


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "database_url": f"sqlite:///{tmp_path}/rows.db",
            "test_data_dir": tmp_path / "test_data",
            "archive_dir": tmp_path / "archive",
            "work_dir": tmp_path / "work",
            "replay_dir": tmp_path / "replays",
            "use_case": "fraud",
        }
    )


def at_once(_seconds: float) -> None:
    """No service drains a journal here."""


def _tiles(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(map(repr, connection.execute(text("SELECT * FROM merchanttiles"))))


def test_rows_of_one_entity_go_from_every_log_and_the_tiles_count_what_is_left(
    engine: Engine, settings: Settings
) -> None:
    erased = erase(engine, settings, GONE, "article 17", at_once)
    assert erased.counts["transactionhistorylogs"] == erased.counts["apitransactionlogs"] == 1
    with engine.connect() as connection:
        for log in TRANSACTION_LOGS.logs:
            users = set(connection.scalars(select(log.c.user_id)))
            assert users <= {STAYS}
    before = _tiles(engine)
    with engine.begin() as connection:
        rebuild_tiles(connection)
    assert _tiles(engine) == before


def test_what_was_kept_to_undo_earlier_changes_goes_too(
    engine: Engine, console: Console, settings: Settings
) -> None:
    fix_found(engine, RowFilter(user_id=GONE), ["amount=1"], "cents", console, is_confirmed=True)
    ids = RowFilter(transaction_ids=("h1",))
    remove_found(engine, ids, "a copy", console, is_confirmed=True)
    erase(engine, settings, GONE, "article 17", at_once)
    undo(engine, list_changes(engine)[1].number, MONDAY_US, None)
    with engine.connect() as connection:
        log = TRANSACTION_LOGS.logs[0]
        assert set(connection.scalars(select(log.c.user_id))) == {STAYS}


def test_a_row_that_a_correction_gave_to_somebody_else_stays_his(
    engine: Engine, console: Console, settings: Settings
) -> None:
    ids = RowFilter(transaction_ids=("h1",))
    fix_found(engine, ids, [f"user_id={STAYS}"], "a mistake", console, is_confirmed=True)
    erase(engine, settings, GONE, "article 17", at_once)
    with engine.connect() as connection:
        log = TRANSACTION_LOGS.logs[0]
        assert sorted(connection.scalars(select(log.c.transaction_id))) == ["h1", "h2"]


def test_no_byte_of_the_entity_is_left_in_the_database_file(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    erase(engine, settings, GONE, "article 17", at_once)
    engine.dispose()
    files = list(tmp_path.glob("rows.db*"))
    assert files
    assert all(GONE.encode() not in file.read_bytes() for file in files)


def test_the_change_says_who_and_why_with_a_digest_instead_of_the_name(
    engine: Engine, settings: Settings
) -> None:
    erase(engine, settings, GONE, "article 17", at_once)
    (change,) = list_changes(engine)
    assert (change.kind, change.reason) == ("erase", "article 17")
    assert change.changed_by
    assert change.details["entity_sha256"] == digest_of(GONE)
    assert GONE not in str(change)
    with pytest.raises(LookupError, match="cannot be undone"):
        undo(engine, change.number, MONDAY_US, None)


def test_rows_that_were_still_in_the_journal_are_erased_when_they_arrive(
    engine: Engine, settings: Settings
) -> None:
    def drain(_seconds: float) -> None:
        with engine.begin() as connection:
            write_decisions(connection, [_row("a3", GONE, model_version="1.0.0")])

    assert erase(engine, settings, GONE, "article 17", drain).counts["apitransactionlogs"] == 2


def test_held_out_sets_lose_the_rows_and_get_a_new_digest(
    engine: Engine, settings: Settings
) -> None:
    store = HeldOutStore(settings.test_data_dir, keep=2)
    rows = pl.DataFrame({"user_id": [GONE, STAYS, None], "amount": [1.0, 2.0, 3.0]})
    kept = store.save(Version(1, 0, 0), rows)
    assert erase(engine, settings, GONE, "article 17", at_once).counts["held-out sets"] == 1
    assert pl.read_parquet(kept.path)["user_id"].to_list() == [STAYS, None]
    assert kept.sha256 not in digest_path(kept.path).read_text()


@pytest.mark.parametrize("user", [GONE, "o'neil"])
@pytest.mark.parametrize("kind", ["folder", "lake"])
def test_archived_rows_are_erased_with_their_labels_and_no_file_holds_a_byte_of_them(
    engine: Engine, settings: Settings, tmp_path: Path, kind: str, user: str
) -> None:
    place = tmp_path / "old"
    old = MONDAY_US - 500 * MICROS_PER_DAY
    with engine.begin() as connection:
        times = [(f"{whose}-{day}", whose, day) for whose in (user, STAYS) for day in range(4)]
        write_history(
            connection,
            [
                _row(name, whose, event_time=old + day * MICROS_PER_DAY)
                for name, whose, day in times
            ],
        )
    to = Lake.at(str(place)) if kind == "lake" else place
    moved = archive_rows(engine, TRANSACTION_LOGS, to, MONDAY_US, 400)
    assert moved["transactionhistorylogs"] == 4
    where = {"lake_url": str(place)} if kind == "lake" else {"archive_dir": place}
    erased = erase(engine, settings.model_copy(update=where), user, "article 17", at_once)
    assert erased.counts[{"lake": "lake", "folder": "archive"}[kind]] == 2
    files = list(place.rglob("*.parquet"))
    users = pl.concat([pl.read_parquet(file, columns=["user_id"]) for file in files])
    assert users["user_id"].to_list() == [STAYS] * 2
    assert all(f"{user}-1".encode() not in file.read_bytes() for file in files)


def test_older_versions_of_the_lake_go_though_an_attempt_broke_off_before_that(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    place = tmp_path / "old"
    old = MONDAY_US - 500 * MICROS_PER_DAY
    with engine.begin() as connection:
        rows = [_row(f"{day}", GONE, event_time=old + day * MICROS_PER_DAY) for day in range(4)]
        write_history(connection, rows)
    archive_rows(engine, TRANSACTION_LOGS, Lake.at(str(place)), MONDAY_US, 400)
    DeltaTable(str(place / "transactionhistorylogs")).delete()
    assert list(place.rglob("*.parquet"))
    lake = settings.model_copy(update={"lake_url": str(place)})
    erase(engine, lake, GONE, "article 17", at_once)
    assert not list(place.rglob("*.parquet"))


def test_held_out_sets_of_replays_lose_the_rows(engine: Engine, settings: Settings) -> None:
    store = HeldOutStore(settings.replay_dir / "may" / "held_out", keep=1)
    kept = store.save(Version(1, 0, 0), pl.DataFrame({"user_id": [GONE, STAYS]}))
    erased = erase(engine, settings, GONE, "article 17", at_once)
    assert erased.counts["held-out sets of replays"] == 1
    assert pl.read_parquet(kept.path)["user_id"].to_list() == [STAYS]


def test_an_attempt_that_broke_off_leaves_nothing_that_the_next_one_forgets(
    engine: Engine, settings: Settings
) -> None:
    """Its rows went, and with them what says that kept steps may hold some."""
    folder = settings.work_dir / "snapshot" / "key"
    folder.mkdir(parents=True)
    (folder / "rows").write_text(GONE)
    erase_entity(engine, TRANSACTION_LOGS, GONE, MONDAY_US, "broke off behind this")
    erased = erase(engine, settings, GONE, "article 17", at_once)
    assert erased.is_nothing
    assert not folder.exists()


def test_an_unknown_entity_leaves_no_trace(
    engine: Engine, settings: Settings, console: Console
) -> None:
    erased = erase(engine, settings, "nobody", "article 17", at_once)
    assert erased.is_nothing
    assert list_changes(engine) == []
    print_erased(console, "nobody", erased)
    assert isinstance(console.file, StringIO)
    assert "nothing is stored of 'nobody'" in console.file.getvalue()


def test_rows_of_a_declared_use_case_are_erased(engine: Engine) -> None:
    store, tables = DeclaredRowStore(churn()), tables_of(churn())
    store.prepare(engine)
    columns = ("row_id", "entity", "event_time", "ingested_at", "model_version")
    records = [(f"r{number}", user, 1, 1, "1.0.0") for number, user in enumerate((GONE, STAYS))]
    with engine.begin() as connection:
        store.write_decisions(connection, columns, records)
        store.write_quarantined(connection, columns, [("q1", GONE, 1, 1, "1.0.0")])
    counts = erase_entity(engine, row_logs(tables), GONE, 5, "article 17")
    assert sorted(counts.values()) == [0, 0, 1, 1, 1]
    with engine.connect() as connection:
        left = [connection.scalar(select(func.count()).select_from(each)) for each in tables.all]
    assert left == [1, 1, 0, 0, 0]
