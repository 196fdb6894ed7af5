"""A bench for the learning cycle: its parts, and one run of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from scheduler.cycle.context import CycleContext
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from shared.tables.runs import ForcedBy, Run, RunStatus, claim_next, finish, get_run, request_run
from tests.scheduler.fakes import PocketApi, SettableClock, TinyUseCase


def run_once(
    context: CycleContext,
    clock: SettableClock,
    recorder: RunRecorder,
    forced: ForcedBy | None = None,
) -> Run:
    """Request, claim and execute one run; returns its row.

    Without a recipe it is one that no run had before, so that a fresh champion is contested.
    """
    context = replace(context, recipe=context.recipe or token_hex(8))
    run_id = request_run(context.engine, "retraining", clock.now_us(), "test", forced)
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

    def run(self, *, recipe: str | None = None, forced: ForcedBy | None = None) -> Run:
        """Request, claim and execute one run of this recipe; returns its row."""
        context = replace(self.context, recipe=recipe or self.context.recipe)
        return run_once(context, self.clock, self.recorder, forced)


def record(engine: Engine, job: str, due_us: int, **columns: object) -> None:
    run_id = request_run(engine, job, due_us, "test")
    claim_next(engine)
    finish(engine, run_id, RunStatus.SUCCEEDED, "ok", "", **columns)  # type: ignore[arg-type]
