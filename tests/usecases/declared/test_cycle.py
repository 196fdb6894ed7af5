"""The whole cycle for every declared task: first model, then a second one that is compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.tables.engine import migrate
from shared.tables.runs import RunStatus
from tests.scheduler.fakes import SettableClock
from tests.support.declared_bench import NOW_US, Imported
from tests.support.declared_cycle import DeclaredBench, bench_of


@pytest.fixture
def bench(use_case: Imported, tmp_path: Path) -> DeclaredBench:
    migrate(use_case.engine)
    clock = SettableClock()
    clock.move(NOW_US - clock.now_us())
    return bench_of(use_case.learning, use_case.engine, clock, tmp_path)


def test_a_first_model_is_promoted_and_the_same_again_is_not(bench: DeclaredBench) -> None:
    first = bench.run()
    assert first.status is RunStatus.SUCCEEDED, first.message
    bench.context = replace(bench.context, seed=2)
    second = bench.run()
    assert second.status is RunStatus.REFUSED, second.message
