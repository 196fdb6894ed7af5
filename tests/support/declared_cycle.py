"""The real cycle around a declared use case, with a registry in memory instead of the API."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from scheduler.cycle.context import CycleContext
from scheduler.cycle.records import RunRecorder
from shared.tables.runs import Run
from tests.scheduler.fakes import SettableClock
from tests.support.cycle_bench import context_of, run_once
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
    key = Ed25519PrivateKey.generate()
    context = context_of(learning, engine, clock, folder, key, reports=True)
    return DeclaredBench(context, clock, RunRecorder(engine, context.log))
