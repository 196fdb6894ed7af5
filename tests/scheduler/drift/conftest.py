"""A champion that serves, and traffic that it has scored."""

from pathlib import Path

import pytest

from scheduler.drift.page import DriftReports
from scheduler.drift.runner import DriftContext
from tests.support.cycle_bench import CycleBench
from tests.support.drift_bench import DriftBench


@pytest.fixture
def drift_bench(bench: CycleBench, tmp_path: Path) -> DriftBench:
    promoted = bench.run()
    assert promoted.model_version is not None
    context = DriftContext(
        use_case=bench.use_case,
        engine=bench.context.engine,
        clock=bench.clock,
        api=bench.api,
        served=bench.context.served,
        reports=DriftReports(tmp_path / "drift", keep=2),
        interruption=bench.context.interruption,
        log=bench.context.log,
    )
    return DriftBench(bench, context, promoted.model_version)
