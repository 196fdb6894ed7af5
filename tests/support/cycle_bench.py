"""A bench for the learning cycle: its parts, and one run of it."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from scheduler.cycle.context import CycleContext
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from shared.tables.runs import Run, RunStatus, claim_next, finish, get_run, request_run
from tests.scheduler.fakes import PocketApi, SettableClock, TinyUseCase


def run_once(context: CycleContext, clock: SettableClock, recorder: RunRecorder) -> Run:
    """Request, claim and execute one run; returns its row."""
    run_id = request_run(context.engine, "retraining", clock.now_us(), "test")
    claimed = claim_next(context.engine)
    assert claimed is not None
    CycleRunner(context, recorder).execute(claimed)
    clock.move(1_000_000)
    finished = get_run(context.engine, run_id)
    assert finished is not None
    return finished


@dataclass
class CycleBench:
    """A cycle ready to run, and everything around it to examine."""

    context: CycleContext
    use_case: TinyUseCase
    api: PocketApi
    clock: SettableClock
    recorder: RunRecorder
    private_key: Ed25519PrivateKey
    root: Path

    def run(self) -> Run:
        """Request, claim and execute one run; returns its row."""
        return run_once(self.context, self.clock, self.recorder)


def record(engine: Engine, job: str, due_us: int, **columns: object) -> None:
    run_id = request_run(engine, job, due_us, "test")
    claim_next(engine)
    finish(engine, run_id, RunStatus.SUCCEEDED, "ok", "", **columns)  # type: ignore[arg-type]
