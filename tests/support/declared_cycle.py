"""The real cycle around a declared use case, with a registry in memory instead of the API."""

from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.context import CycleContext
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.publisher import Publisher
from shared.keys.signing import key_id, sign
from shared.tables.runs import Run
from tests.scheduler.fakes import PocketApi, SettableClock
from tests.support.cycle_bench import run_once
from usecases.declared.learning import DeclaredLearning


@dataclass
class DeclaredBench:
    """A cycle around a declared use case."""

    context: CycleContext
    clock: SettableClock
    recorder: RunRecorder

    def run(self) -> Run:
        return run_once(self.context, self.clock, self.recorder)


def bench_of(
    learning: DeclaredLearning, engine: Engine, clock: SettableClock, folder: Path
) -> DeclaredBench:
    """A bench that writes below `folder`."""
    log, api = structlog.get_logger(), PocketApi()
    private_key = Ed25519PrivateKey.generate()
    public_key = private_key.public_key()
    context = CycleContext(
        use_case=learning,
        engine=engine,
        clock=clock,
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, private_key)),
        candidates=CandidateStore(folder / "retrained_models", keep=3),
        held_out=HeldOutStore(folder / "test_data", keep=2),
        interruption=Interruption(),
        log=log,
        latency_budget_ms=1_000.0,
        seed=1,
        reports=True,
        trusted=lambda: {key_id(public_key): public_key},
    )
    return DeclaredBench(context, clock, RunRecorder(engine, log))
