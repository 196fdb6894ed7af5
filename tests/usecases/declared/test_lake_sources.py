"""A declared source may be a Delta table or Parquet files at an address."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from shared.errors import DataUnavailable
from shared.tables.engine import connect
from tests.support.declared_source import NOW_US, use_case

deltalake = pytest.importorskip("deltalake", reason="pip install -r requirements/learning.txt")

ROWS = pl.DataFrame(
    {
        "key": ["a", "b", "c"],
        "at": ["2026-01-01", "2026-01-02", "2026-02-03"],
        "size": [1.0, 2.0, 3.0],
        "y": ["yes", "no", None],
        "month": ["01", "01", "02"],
    }
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/understudy.db")
    yield engine
    engine.dispose()


def _ids(engine: Engine, folder: Path, source: str) -> list[str]:
    snapshot = use_case(folder, f"files = {source}").snapshot(engine, NOW_US)
    return sorted(snapshot["row_id"])


def test_a_folder_with_a_delta_table_is_read_as_of_its_newest_version(
    engine: Engine, tmp_path: Path
) -> None:
    table = tmp_path / "customers"
    deltalake.write_deltalake(table, ROWS.to_arrow(), partition_by=["month"])
    deltalake.DeltaTable(table).delete("key = 'b'")
    assert _ids(engine, tmp_path, '"customers"') == ["a", "c"]


def test_parquet_files_at_an_address_are_read_together(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for at in range(3):
        ROWS[at : at + 1].write_parquet(folder / f"{at}.parquet")
    assert _ids(engine, tmp_path, f'"file://{folder}"') == ["a", "b", "c"]


def test_an_address_without_rows_is_named(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="nowhere"):
        _ids(engine, tmp_path, f'"file://{tmp_path}/nowhere"')
