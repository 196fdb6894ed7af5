"""A bench for the learning cycle: its parts, and one run of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.context import CycleContext
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.publisher import Publisher
from shared.keys.store import key_id, sign
from shared.tables.runs import ForcedBy, Run, RunStatus, claim_next, finish, get_run, request_run
from shared.usecase.learning import LearningUseCase
from tests.scheduler.fakes import PocketApi, SettableClock, TinyUseCase


def context_of(
    use_case: LearningUseCase,
    engine: Engine,
    clock: SettableClock,
    folder: Path,
    key: Ed25519PrivateKey,
    *,
    reports: bool = False,
) -> CycleContext:
    """The parts of a cycle that writes below `folder`, with a registry in memory."""
    api, public_key = PocketApi(), key.public_key()
    return CycleContext(
        use_case=use_case,
        engine=engine,
        clock=clock,
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, key)),
        candidates=CandidateStore(folder / "retrained_models", keep=3),
        held_out=HeldOutStore(folder / "test_data", keep=2),
        interruption=Interruption(),
        log=structlog.get_logger(),
        latency_budget_ms=1_000.0,
        seed=1,
        reports=reports,
        trusted=lambda: {key_id(public_key): public_key},
    )


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
