"""The whole cycle for every declared task: first model, then a second one that is compared."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.context import CycleContext
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.publisher import Publisher
from shared.keys.signing import key_id, sign
from shared.tables.engine import migrate
from shared.tables.runs import Run, RunStatus
from tests.scheduler.fakes import PocketApi, SettableClock
from tests.support.cycle_bench import run_once
from tests.support.declared_bench import NOW_US, Imported


@dataclass
class DeclaredBench:
    """A cycle around a declared use case."""

    context: CycleContext
    clock: SettableClock
    recorder: RunRecorder

    def run(self) -> Run:
        return run_once(self.context, self.clock, self.recorder)


@pytest.fixture
def bench(use_case: Imported, tmp_path: Path) -> DeclaredBench:
    migrate(use_case.engine)
    log, api, clock = structlog.get_logger(), PocketApi(), SettableClock()
    clock.move(NOW_US - clock.now_us())
    private_key = Ed25519PrivateKey.generate()
    context = CycleContext(
        use_case=use_case.learning,
        engine=use_case.engine,
        clock=clock,
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, private_key)),
        candidates=CandidateStore(tmp_path / "retrained_models", keep=3),
        held_out=HeldOutStore(tmp_path / "test_data", keep=2),
        interruption=Interruption(),
        log=log,
        latency_budget_ms=1_000.0,
        seed=1,
        reports=True,
        trusted=lambda: {key_id(private_key.public_key()): private_key.public_key()},
    )
    return DeclaredBench(context, clock, RunRecorder(use_case.engine, log))


def test_a_first_model_is_promoted_and_the_same_again_is_not(bench: DeclaredBench) -> None:
    first = bench.run()
    assert first.status is RunStatus.SUCCEEDED, first.message
    bench.context = replace(bench.context, seed=2)
    second = bench.run()
    assert second.status is RunStatus.REFUSED, second.message
