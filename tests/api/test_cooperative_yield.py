"""Work that can wait gives the processor up on its own, inside long statements too."""

import resource
import time
from pathlib import Path

from sqlalchemy import text

from api.journal.subprocess_writer import CooperativeYield, rest_inside_statements
from shared.tables.engine import connect

COUNT = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
    "SELECT max(i) FROM n"
)


def rests() -> int:
    """How often this thread gave the processor up."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def test_whoever_works_for_long_rests_again_and_again() -> None:
    turns, before, began = CooperativeYield(), rests(), time.thread_time()
    while time.thread_time() - began < 0.02:
        turns()
    assert rests() - before >= 10


def test_a_long_statement_rests_while_it_runs_and_gives_its_answer(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'some.db'}")
    rest_inside_statements(engine, CooperativeYield())
    with engine.connect() as connection:
        before = rests()
        assert connection.scalar(text(COUNT)) == 200_000
        assert rests() - before >= 5
    engine.dispose()
