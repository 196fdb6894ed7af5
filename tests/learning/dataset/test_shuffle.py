"""Rows that are partitioned on disk in several passes."""

from pathlib import Path

import polars as pl
import pytest

from learning.dataset.shuffle import ROW, Shuffler, shard_files
from shared.sizes import MIB

SHARDS = 3
ROWS = 180_000
"""More than fit into one pass by 32 MiB."""

FRAME = pl.DataFrame(
    {"key": [f"k{number % 1_000}" for number in range(ROWS)], "value": range(ROWS)}
)


def partitioned(files: Path, folder: Path) -> list[pl.DataFrame]:
    Shuffler(folder / "spilled", 32 * MIB).partition(
        files, folder / "to", ["key", "value"], key="key", shards=SHARDS
    )
    return [
        pl.concat(
            pl.read_parquet(path, hive_partitioning=False)
            for path in shard_files(folder / "to", number)
        )
        for number in range(SHARDS)
    ]


@pytest.mark.parametrize("pieces", [1, 7])
def test_all_rows_of_a_key_are_in_one_shard_whatever_the_number_of_passes(
    pieces: int, tmp_path: Path
) -> None:
    (tmp_path / "from").mkdir()
    for number, piece in enumerate(FRAME.iter_slices(-(-ROWS // pieces))):
        piece.write_parquet(tmp_path / "from" / f"{number}.parquet", row_group_size=50_000)
    shards = partitioned(tmp_path / "from" / "*.parquet", tmp_path)
    assert sum(shard["key"].n_unique() for shard in shards) == 1_000
    together = pl.concat(shards).sort("value")
    assert together.select(FRAME.columns).equals(FRAME)
    assert len(list((tmp_path / "to").rglob("pass_*"))) > SHARDS


def test_rows_of_one_file_keep_their_position_in_it(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "rows.parquet", row_group_size=50_000)
    together = pl.concat(partitioned(tmp_path / "rows.parquet", tmp_path))
    assert together[ROW].to_list() == together["value"].to_list()
