"""The process that carries out runs knows the job."""

from pathlib import Path

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.interruption import Interruption
from scheduler.cycle.records import RunRecorder
from scheduler.runners import runners
from scheduler.settings import SchedulerSettings
from shared.keys.tokens import Role, ensure_tokens
from shared.tables.runs import RunStatus, claim_next, get_run, request_run
from tests.scheduler.fakes import TinyUseCase


def test_a_drift_run_is_carried_out_where_retrainings_are(
    engine: Engine, log: FilteringBoundLogger, tmp_path: Path
) -> None:
    ensure_tokens(tmp_path / "keys", [Role.PUSH])
    settings = SchedulerSettings(
        keys_dir=tmp_path / "keys",
        work_dir=tmp_path / "work",
        retrained_models_dir=tmp_path / "retrained_models",
        drift_reports_dir=tmp_path / "drift",
        api_url="http://127.0.0.1:9",
    )
    recorder = RunRecorder(engine, log)
    known = runners(settings, engine, TinyUseCase(), recorder, interruption=Interruption(), log=log)
    run_id = request_run(engine, "drift", 1, "test")
    claimed = claim_next(engine)
    assert claimed is not None
    known["drift"].execute(claimed)
    ended = get_run(engine, run_id)
    assert ended is not None
    # nobody answers at that address: it is known that nothing can be known
    assert (ended.status, ended.code) == (RunStatus.FAILED, "api_unavailable")
