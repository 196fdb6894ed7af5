"""Alerts and dashboards ask for figures that the service really gives."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from sqlalchemy import Engine

import usecases
from scheduler.cycle.champion_metrics import ChampionMetrics
from scheduler.metrics import scheduler_registry
from shared.clock_metrics import ClockMetrics
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.machine_clock import MACHINE_CLOCK
from shared.tables.engine import connect, migrate
from shared.tables.job_schedules import JobSchedule, schedule_transaction, write_schedule
from shared.tables.runs import RunStatus, finish, request_run
from tests.api.bundles import Signer, install
from tests.api.rollout.driving import try_out
from tests.api.server import Running, serve_settings

MONITORING = Path("monitoring")
FIGURE = re.compile(r"\bunderstudy_[a-z_]+")
RECORDED = re.compile(r"\bunderstudy:[a-z_:0-9]+")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database in which a run was done once and a schedule is in force."""
    engine = connect(f"sqlite:///{tmp_path / 'understudy.db'}")
    migrate(engine)
    run_id = request_run(engine, "retraining", 1, "schedule")
    finish(engine, run_id, RunStatus.SUCCEEDED, "promoted", "")
    with schedule_transaction(engine) as connection:
        write_schedule(connection, JobSchedule("retraining", "1W", True, 0, 0, 0, 1, 1))
    yield engine
    engine.dispose()


def asked() -> str:
    texts = [MONITORING / "rules.yml", *MONITORING.glob("grafana/dashboards/*.json")]
    return "".join(path.read_text(encoding="utf-8") for path in texts)


@pytest.fixture
def told_on_trial(tmp_path: Path) -> str:
    """GET /metrics of a service with a version on trial."""
    settings = serve_settings(tmp_path)
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer = Signer(settings.keys_dir)
    install(settings, signer, "1.0.0")
    with Running(settings) as server:
        assert try_out(server, signer, "canary").status_code == 200
        return server.client.get("/metrics").text


def test_every_figure_that_is_asked_for_is_exposed(engine: Engine, told_on_trial: str) -> None:
    policy = usecases.promotion_policy(usecases.DEFAULT)
    registry = scheduler_registry(
        engine, ChampionMetrics(engine, policy), ClockMetrics(MACHINE_CLOCK)
    )
    told = told_on_trial + generate_latest(registry).decode()
    exposed = set(FIGURE.findall(told))
    wanted = {name.removesuffix("_bucket") for name in FIGURE.findall(asked())}
    assert wanted
    assert wanted <= exposed


def test_every_recorded_series_that_is_asked_for_is_recorded() -> None:
    rules = (MONITORING / "rules.yml").read_text(encoding="utf-8")
    recorded = set(re.findall(r"- record: (\S+)", rules))
    assert set(RECORDED.findall(asked())) == recorded


def test_every_panel_has_a_query_on_the_provisioned_source() -> None:
    path = MONITORING / "grafana" / "dashboards" / "understudy.json"
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"understudy"}
