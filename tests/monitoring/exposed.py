"""What both services expose, while a version is on trial and after a run."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

import usecases
from scheduler.metrics import scheduler_registry
from scheduler.run_metrics import ChampionMetrics, RunMetrics
from shared.clock import MACHINE_CLOCK, SystemClock
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.machine_metrics import ClockMetrics, DiskMetrics
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import JobSchedule, schedule_transaction, write_schedule
from shared.tables.runs import RunStatus, finish, request_run
from tests.api.bundles import Signer, install
from tests.api.rollout.driving import try_out
from tests.api.server import Running, serve_settings
from tests.support.api_workers import worker
from tests.support.promtool import MONITORING


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database in which a run was done once and a schedule is in force."""
    folder = tmp_path_factory.mktemp("database")
    engine = connect(f"sqlite:///{folder / 'understudy.db'}")
    migrate(engine)
    run_id = request_run(engine, "retraining", 1, "schedule")
    finish(engine, run_id, RunStatus.SUCCEEDED, "promoted", "")
    with schedule_transaction(engine) as connection:
        write_schedule(connection, JobSchedule("retraining", "1W", True, 0, 0, 0, 1, 1))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def told_by_both(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """/metrics of an API with a version on trial, of one of two workers, and of a scheduler."""
    folder = tmp_path_factory.mktemp("api")
    settings = serve_settings(folder)
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer = Signer(settings.keys_dir)
    install(settings, signer, "1.0.0")
    sharing = settings.model_copy(update={"store_url": (folder / "store").as_uri()})
    with Running(sharing) as server:
        assert try_out(server, signer, "canary").status_code == 200
        alone = server.client.get("/metrics").text
    with worker(settings, 0) as one:
        together = one.client.get("/metrics").text
    policy, clock = usecases.promotion_policy(usecases.DEFAULT), SystemClock()
    registry = scheduler_registry(
        engine,
        ChampionMetrics(engine, policy),
        RunMetrics(engine, policy, clock),
        ClockMetrics(MACHINE_CLOCK),
        DiskMetrics({"work": folder}),
    )
    return {"api": alone, "worker": together, "scheduler": generate_latest(registry).decode()}


def exposed_families(*texts: str) -> set[str]:
    """Names of our metrics as one asks for them: counters with `_total`."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for text in texts
        for family in text_string_to_metric_families(text)
        if family.name.startswith("understudy_")
    }


def asked() -> set[str]:
    """Metrics that alerts and panels ask for, without the suffixes of histograms."""
    paths = [MONITORING / "rules.yml", *MONITORING.glob("grafana/dashboards/*.json")]
    text = "".join(path.read_text(encoding="utf-8") for path in paths)
    return {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in re.findall(r"\bunderstudy_[a-z_0-9]+", text)
    }
