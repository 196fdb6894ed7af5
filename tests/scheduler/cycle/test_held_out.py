"""Held-out sets as files."""

from pathlib import Path

import polars as pl

from scheduler.cycle.held_out import HeldOutStore
from shared.bundle.version import Version

VERSION = Version.parse("1.0.0")


def test_rows_that_came_in_pieces_make_the_same_file_as_rows_in_one(tmp_path: Path) -> None:
    whole = pl.DataFrame({"row_id": [f"r{n}" for n in range(9_000)], "score": range(9_000)})
    pieces = pl.concat([whole[:10], whole[10:5_000], whole[5_000:]], rechunk=False)
    assert pieces.n_chunks() == 3
    one = HeldOutStore(tmp_path / "one", 2).save(VERSION, whole)
    other = HeldOutStore(tmp_path / "other", 2).save(VERSION, pieces)
    assert one.sha256 == other.sha256
