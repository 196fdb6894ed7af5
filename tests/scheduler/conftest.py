"""A database with its tables, and the parts of a cycle around a tiny use case."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.context import CycleContext
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.publisher import Publisher
from shared.keys.signing import key_id, sign
from shared.tables.engine import connect, migrate
from tests.scheduler.fakes import PocketApi, SettableClock, TinyUseCase
from tests.support.cycle_bench import CycleBench


@pytest.fixture
def log() -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'understudy.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def bench(engine: Engine, log: FilteringBoundLogger, tmp_path: Path) -> CycleBench:
    use_case, api, clock = TinyUseCase(), PocketApi(), SettableClock()
    private_key = Ed25519PrivateKey.generate()
    context = CycleContext(
        use_case=use_case,
        engine=engine,
        clock=clock,
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, private_key)),
        candidates=CandidateStore(tmp_path / "retrained_models", keep=3),
        held_out=HeldOutStore(tmp_path / "test_data", keep=2),
        interruption=Interruption(),
        log=log,
        latency_budget_ms=1_000.0,
        seed=1,
        reports=False,
        trusted=lambda: {key_id(private_key.public_key()): private_key.public_key()},
    )
    recorder = RunRecorder(engine, log)
    return CycleBench(context, use_case, api, clock, recorder, private_key, tmp_path)
