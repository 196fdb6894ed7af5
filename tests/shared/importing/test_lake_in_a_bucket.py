"""A lake in an S3 bucket: imports and archives write it, training and declared sources read it."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from learning.dataset.large import Workplace
from shared.clock import SystemClock
from shared.errors import DataUnavailable
from shared.importing.lake import Lake
from shared.sizes import MIB
from shared.tables.engine import connect, migrate
from tests.support.declared_source import use_case
from tests.support.seaweedfs import S3Server, running_s3, s3_server
from understudy.cli import app
from usecases.fraud.training.snapshot import read_snapshot
from usecases.fraud.training.snapshot_files import scan_snapshot

__all__ = ["s3_server"]

pytest.importorskip("duckdb", reason="pip install -r requirements/learning.txt")
deltalake = pytest.importorskip("deltalake", reason="pip install -r requirements/learning.txt")
pytestmark = pytest.mark.slow

ROWS = 60
MAPPING = """
[columns]
transaction_id = "id"
user_id = "account"
event_time = "booked_at"
amount = "amount"
merchant_id = "merchant"
label = "fraud"
[time]
zone = "UTC"
"""
SOURCE = pl.DataFrame(
    {
        "key": ["a", "b", "c"],
        "at": ["2026-01-01", "2026-01-02", "2026-02-03"],
        "size": [1.0, 2.0, 3.0],
        "y": ["yes", "no", None],
    }
)


@pytest.fixture
def bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty folder of a bucket, whose keys are in the environment."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://understudy/{uuid.uuid4().hex}"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/understudy.db"
    monkeypatch.setenv("DATABASE_URL", url)
    engine = connect(url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Rows of a year, and their mapping, as `understudy import` takes them."""
    rng, now = random.Random(3), datetime.now(UTC)
    moments = [now - timedelta(days=rng.uniform(20, 380)) for _ in range(ROWS)]
    rows = [
        f"t{at},u{rng.randrange(5)},{moment.isoformat()},{rng.uniform(1, 90):.2f},"
        f"m{rng.randrange(3)},{rng.randrange(2)}"
        for at, moment in enumerate(moments)
    ]
    table, mapping = tmp_path / "rows.csv", tmp_path / "mapping.toml"
    table.write_text("\n".join(["id,account,booked_at,amount,merchant,fraud", *rows, ""]))
    mapping.write_text(MAPPING)
    return [str(table), "--mapping", str(mapping)]


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def _history(engine: Engine, folder: Path, lake: str) -> pl.DataFrame:
    place = Workplace(folder, 20, 128 * MIB, lake=Lake.at(lake))
    folder.mkdir()
    return scan_snapshot(engine, SystemClock().now_us(), place).lazy().collect()


def test_training_reads_an_import_and_an_archive_in_a_bucket_with_the_database(
    bucket: str, engine: Engine, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_URL", bucket)
    _run("import", *files, "--to", "lake")
    here = read_snapshot(engine, SystemClock().now_us()).height
    assert here < ROWS
    imported = _history(engine, tmp_path / "imported", bucket)
    assert imported["transaction_id"].n_unique() == imported.height == ROWS

    _run("archive", "--older-than", "180d", "--to", "lake")
    archived = _history(engine, tmp_path / "archived", bucket)
    assert archived.equals(imported)


def test_an_archive_moves_rows_of_the_database_into_a_bucket(
    bucket: str, engine: Engine, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_URL", bucket)
    _run("import", *files)
    before = read_snapshot(engine, SystemClock().now_us())
    told = _run("archive", "--older-than", "200d", "--to", "lake")
    assert f"now in {bucket}" in " ".join(told.split())
    assert read_snapshot(engine, SystemClock().now_us()).height < before.height == ROWS
    assert _history(engine, tmp_path / "archived", bucket).equals(before)


@pytest.mark.parametrize(
    ("files", "keys"),
    [
        ("rows", ["a", "b", "c"]),
        ("rows/2026-[01]*.parquet", ["a", "b"]),
        ("rows/2026-2.parquet", ["c"]),
        ("delta", ["a", "c"]),
    ],
)
def test_a_declared_source_reads_parquet_and_delta_in_a_bucket(
    bucket: str, engine: Engine, tmp_path: Path, files: str, keys: list[str]
) -> None:
    for at in range(3):
        SOURCE[at : at + 1].write_parquet(f"{bucket}/rows/2026-{at}.parquet")
    place, options = f"{bucket}/delta", {"allow_http": "true"}
    deltalake.write_deltalake(place, SOURCE.to_arrow(), storage_options=options)
    deltalake.DeltaTable(place, storage_options=options).delete("key = 'b'")
    learning = use_case(tmp_path, f'files = "{bucket}/{files}"')
    found = learning.snapshot(engine, SystemClock().now_us())
    assert sorted(found["row_id"]) == keys


@pytest.mark.parametrize("variable", ["AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"])
def test_a_bucket_that_does_not_answer_is_named_in_one_line(
    bucket: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong-secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    monkeypatch.setenv(variable, wrong[variable])
    with pytest.raises(DataUnavailable) as found:
        list(Lake.at(bucket).batches("transactionhistorylogs", ["transaction_id"]))
    told = str(found.value)
    assert bucket in told
    assert told.isprintable()
    assert "wrong-secret" not in told


def test_a_bucket_that_goes_away_is_given_up_within_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_s3() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        lake = Lake.at("s3://understudy/lake")
        assert list(lake.batches("rows", ["a"])) == []
    with pytest.raises(DataUnavailable, match="s3://understudy/lake/rows"):
        list(lake.batches("rows", ["a"]))
