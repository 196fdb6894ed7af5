"""Archives: whole or refused, in one sentence, before anything is touched."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from api.settings import Settings
from scheduler.settings import SchedulerSettings
from shared.rows.tables import tables_of
from shared.tables.engine import connect, migrate
from shared.tables.writer import write_decisions
from tests.postgres import Postgres
from tests.support.churn_rows import churn
from tests.support.instances import instance_in
from understudy.backup.archive import ArchiveRefused, BackupManifest, new_archive
from understudy.backup.create import make_backup
from understudy.backup.places import BackupSettings, key_places
from understudy.backup.restore import check_archive, restore

MONDAY_US = 1_767_607_200_000_000


def row(name: str) -> dict[str, object]:
    return {
        "transaction_id": name, "user_id": "u1", "event_time": MONDAY_US, "amount": 3.5,
        "currency": "EUR", "merchant_id": "m1", "transaction_type": "purchase",
        "ingested_at": MONDAY_US, "model_version": "1.0.0", "feature_vector": b"\x01\x00\xff\x02",
        "component_scores": {"classifier": 0.25},
    }  # fmt: skip


def fill(instance: BackupSettings, names: tuple[str, ...] = ("a1", "a2")) -> BackupSettings:
    engine = connect(instance.database_url.get_secret_value())
    migrate(engine)
    with engine.begin() as connection:
        write_decisions(connection, [row(name) for name in names])
    engine.dispose()
    candidate = instance.retrained_models_dir / "1.0.1"
    candidate.mkdir(parents=True)
    (candidate / "verdicts.json").write_text("{}")
    (candidate / "rollout.jsonl").write_text('{"whole": 1}\n{"half')
    return instance


def ids(instance: BackupSettings) -> list[str]:
    engine = connect(instance.database_url.get_secret_value())
    with engine.connect() as connection:
        ask = text("SELECT transaction_id FROM apitransactionlogs ORDER BY 1")
        found = [str(name) for name in connection.scalars(ask)]
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backed-up")
    make_backup(fill(instance_in(folder / "here")), folder / "one.backup", None)
    return folder / "one.backup"


def test_files_that_grow_are_restored_up_to_their_last_whole_line(
    backed_up: Path, tmp_path: Path
) -> None:
    there = instance_in(tmp_path / "there")
    restore(there, backed_up, None, force=False)
    assert ids(there) == ["a1", "a2"]
    rollout = there.retrained_models_dir / "1.0.1" / "rollout.jsonl"
    assert rollout.read_text() == '{"whole": 1}\n'
    leftovers = list(tmp_path.rglob(".tmp-*"))
    assert leftovers == []


@given(data=st.data())
def test_a_damaged_archive_is_refused_or_the_damage_hit_nothing_that_counts(
    backed_up: Path, data: st.DataObject
) -> None:
    raw = bytearray(backed_up.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    change = data.draw(st.sampled_from(["byte", "cut", "added"]))
    if change == "byte":
        raw[at] ^= data.draw(st.integers(1, 255))
    elif change == "cut":
        del raw[at:]
    else:
        raw[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    damaged = backed_up.with_name("damaged.backup")
    damaged.write_bytes(raw)
    whole = check_archive(backed_up).model_dump()
    try:
        assert check_archive(damaged).model_dump() == whole
    except ArchiveRefused as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017


def text_file(path: Path) -> Path:
    path.write_text("hello")
    return path


def pack(path: Path, manifest: str | None, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
        if manifest is not None:
            file.writestr("manifest.json", manifest)
    return path


def made(**changes: object) -> str:
    said = {
        "kind": "instance", "understudy_version": "1", "use_case": "tiny", "recovery_point": "x",
        "completed_at": "x", "database": "sqlite", "revision": "0001", "files": [],
    }  # fmt: skip
    return BackupManifest.model_validate(said | changes).model_dump_json()


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FOREIGN: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a text": (text_file, "not an archive"),
    "missing": (lambda path: path, "there is no archive"),
    "a zip of something else": (lambda path: pack(path, None, readme=b"x"), "no manifest"),
    "another manifest": (lambda path: pack(path, '{"format": "other"}'), "another program"),
    "a newer format": (
        lambda path: pack(path, '{"format": "understudy-backup", "format_version": 99}'),
        "newer version",
    ),
    "an unlisted file": (
        lambda path: pack(path, made(), **{"registry/x": b""}),
        "does not fit",
    ),
    "a name that leads out": (
        lambda path: pack(
            path,
            made(files=[{"path": "registry/../../x", "size": 0, "sha256": EMPTY}]),
            **{"registry/../../x": b""},
        ),
        "leads out",
    ),
    "keys": (lambda path: pack(path, made(kind="keys")), "archive of 'keys'"),
    "a newer schema": (lambda path: pack(path, made(revision="9999")), "schema 9999"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_archive_is_refused_before_anything_is_touched(what: str, tmp_path: Path) -> None:
    make, reason = FOREIGN[what]
    path = make(tmp_path / "foreign.backup")
    with pytest.raises(ArchiveRefused, match=reason):
        restore(instance_in(tmp_path / "there"), path, None, force=True)
    assert not (tmp_path / "there").exists()


def test_an_archive_goes_back_into_its_own_use_case_and_kind_of_database_only(
    backed_up: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveRefused, match="USE_CASE=tiny"):
        restore(instance_in(tmp_path / "there", "churn"), backed_up, None, force=False)
    server = instance_in(tmp_path / "there", database_url="postgresql://me@localhost/x")
    with pytest.raises(ArchiveRefused, match="postgresql"):
        restore(server, backed_up, None, force=False)


def test_an_archive_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    def run_out_of_space() -> None:
        with new_archive(tmp_path / "one.backup") as writer, writer.member("registry/x") as member:
            member.write(b"x")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        run_out_of_space()
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_never_written_over_another_nor_into_what_it_holds(
    backed_up: Path, tmp_path: Path
) -> None:
    here = fill(instance_in(tmp_path / "here"))
    with pytest.raises(ArchiveRefused, match="is there already"):
        make_backup(here, backed_up, None)
    with pytest.raises(ArchiveRefused, match="which is backed up"):
        make_backup(here, here.prod_models_dir / "x.backup", None)


def test_a_folder_gets_an_archive_named_by_its_instant(tmp_path: Path) -> None:
    made = make_backup(fill(instance_in(tmp_path / "here")), tmp_path, None)
    assert made.path.parent == tmp_path
    assert made.path.name.startswith("understudy-2")


def test_a_damaged_database_is_not_backed_up_as_if_it_were_whole(tmp_path: Path) -> None:
    here = fill(instance_in(tmp_path / "here"), tuple(f"a{number}" for number in range(500)))
    database = tmp_path / "here" / "understudy.db"
    with database.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(os.urandom(12 * 4096))
    with pytest.raises(Exception, match=r"damaged|malformed|could not copy"):
        make_backup(here, tmp_path / "one.backup", None)
    assert not (tmp_path / "one.backup").exists()


def test_a_backup_reads_the_folders_of_both_services() -> None:
    """Each image holds one service, so the settings are declared again; they must not differ."""
    for name, field in BackupSettings.model_fields.items():
        service = Settings if name in Settings.model_fields else SchedulerSettings
        assert field.default == service.model_fields[name].default, name


def test_a_server_is_copied_in_one_snapshot_and_filled_in_one_transaction(
    postgres: Postgres, tmp_path: Path
) -> None:
    here = fill(instance_in(tmp_path / "here", database_url=postgres.new_database()))
    tables = tables_of(churn())
    engine = connect(here.database_url.get_secret_value())
    with engine.begin() as connection:
        tables.rows.metadata.create_all(connection, tables.all)
        connection.execute(
            tables.label_changes.insert(),
            [
                {"row_id": "r", "label": 1.0, "label_known_at": 1, "new_label": 0.0,
                 "replaced_at": 2}
            ],
        )  # fmt: skip
        connection.execute(text("UPDATE retrainingconfig SET interval = '1D'"))
        connection.execute(text("CREATE TABLE of_another_program (x int)"))
    make_backup(here, tmp_path / "one.backup", None)

    there = instance_in(tmp_path / "there", database_url=postgres.new_database())
    restore(there, tmp_path / "one.backup", None, force=False)
    assert ids(there) == ["a1", "a2"]
    other = connect(there.database_url.get_secret_value())
    with other.begin() as connection:
        ask = text("SELECT feature_vector, component_scores FROM apitransactionlogs LIMIT 1")
        vector, scores = connection.execute(ask).one()
        assert (bytes(vector), scores) == (b"\x01\x00\xff\x02", {"classifier": 0.25})
        assert connection.scalars(text("SELECT interval FROM retrainingconfig")).all() == ["1D"]
        # the next change gets a number of its own
        connection.execute(
            tables.label_changes.insert(),
            {"row_id": "s", "label": 1.0, "label_known_at": 1, "new_label": 0.0, "replaced_at": 2},
        )
        numbers = connection.scalars(text(f"SELECT changeid FROM {tables.label_changes.name}"))
        assert sorted(numbers) == [1, 2]
        names = set(inspect(connection).get_table_names())
        indexes = {one["name"] for one in inspect(connection).get_indexes(tables.rows.name)}
    assert "of_another_program" not in names
    assert indexes == {index.name for index in tables.rows.indexes}
    with pytest.raises(ArchiveRefused, match="apitransactionlogs"):
        restore(there, tmp_path / "one.backup", None, force=False)
    with other.begin() as connection:
        connection.execute(text("DELETE FROM apitransactionlogs"))
    restore(there, tmp_path / "one.backup", None, force=True)
    assert ids(there) == ["a1", "a2"]
    migrate(other)
    for one in (engine, other):
        one.dispose()


def test_keys_are_put_in_place_folder_by_folder(tmp_path: Path) -> None:
    """In a container each is a volume, and the folder of all is read-only."""
    here = instance_in(tmp_path)
    names = ("manifest.json", "keys/trust/a.pub", "keys/signing/b.pem", "keys/trust/c.pub")
    places = key_places(here, names)
    assert [place.folder for place in places] == [
        here.keys_dir / "signing",
        here.keys_dir / "trust",
    ]
    assert [place.name for place in places] == ["keys/signing", "keys/trust"]
