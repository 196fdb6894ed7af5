"""A database with its tables, and the parts of a cycle around a tiny use case."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.records import RunRecorder
from shared.tables.engine import connect, migrate
from tests.scheduler.fakes import PocketApi, SettableClock, TinyUseCase
from tests.support.cycle_bench import CycleBench, context_of


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
    use_case, clock, key = TinyUseCase(), SettableClock(), Ed25519PrivateKey.generate()
    context = context_of(use_case, engine, clock, tmp_path, key)
    assert isinstance(context.api, PocketApi)
    recorder = RunRecorder(engine, log)
    return CycleBench(context, use_case, context.api, clock, recorder, key, tmp_path)
