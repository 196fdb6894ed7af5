"""Files of our own are found whatever an operator calls the folders above them."""

from pathlib import Path
from typing import cast

import polars as pl
import pytest

from learning.dataset.scanned import ScannedRows
from learning.dataset.shuffle import Shuffler, shard_files
from shared.bundle.archive import Bundle
from shared.sizes import MIB
from understudy.score_parts import put_together, read_errors
from understudy.score_plan import ScorePlan, ScoringJob

ROWS = pl.DataFrame({'say "x"': [3, 1, 2], "error": ["why", None, None]})


@pytest.fixture(params=["a[1]", "b?c*d", 'it\'s "odd"', 'say "x"=7'])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / str(request.param)
    (made / "in").mkdir(parents=True)
    ROWS.write_parquet(made / "in" / "part-0.parquet")
    return made


def test_rows_are_shuffled_and_scanned_in_it(folder: Path) -> None:
    pytest.importorskip("duckdb")
    shuffler, files = Shuffler(folder, 64 * MIB), folder / "in" / "*.parquet"
    shuffler.sort(files, folder / "sorted.parquet", ROWS.columns, ['say "x"'])
    scanned = ScannedRows.of(folder / "sorted.parquet")
    assert (scanned.columns, scanned['say "x"'].to_list()) == (ROWS.columns, [1, 2, 3])
    shuffler.partition(files, folder / "shards", ROWS.columns, key='say "x"', shards=1)
    assert len(shard_files(folder / "shards", 0)) == 1


def test_parts_of_a_scored_file_are_put_together_in_it(folder: Path) -> None:
    work = ScoringJob(folder / "in", ScorePlan([], "", "1.0.0", "", 0), cast(Bundle, None))
    put_together(work, folder / "out.csv")
    assert (folder / "out.csv").read_text().splitlines()[1:] == ["3,why", "1,", "2,"]
    assert read_errors(folder / "in" / "part-0.parquet").to_list() == ["why", None, None]
