"""The demo plays to its end, and everything it tells has happened."""

import json
import socket
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from shared.clock import MICROS_PER_DAY
from shared.tables.engine import connect
from shared.tables.runs import Run, RunStatus, list_runs
from shared.tables.schema import api_transaction_logs as served
from simulator.live import LiveRow
from tests.support.command_line import Command
from understudy.demo.world import DRIFT_DAYS_AGO, LIVE_DAYS, DemoWorld

NOW_US = 1_790_000_000_000_000


@pytest.mark.slow
def test_the_demo_ends_by_itself_and_every_act_is_in_the_database(
    understudy: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    done = understudy("demo", "--fast", "--keep", "--dir", str(folder))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    engine = connect(f"sqlite:///{folder / 'understudy.db'}")
    first, check, retraining, forced = _runs(engine)
    assert (first.status, first.code) == (RunStatus.SUCCEEDED, "first_model")
    assert (check.job, check.code, check.metrics["alarm"]) == ("drift", "drift", True)
    assert check.metrics["retraining_run"] == retraining.run_id
    assert (retraining.requested_by, retraining.status) == ("drift", RunStatus.SUCCEEDED)
    assert retraining.code == "promoted"
    assert (forced.status, forced.forced_by) == (RunStatus.REFUSED, "operator/the demo")
    assert _flagged_share_before_the_drift(engine) < 0.06
    engine.dispose()

    trail = list(map(json.loads, (folder / "prod_models/audit.jsonl").read_text().splitlines()))
    advanced = [line["share_percent"] for line in trail if line["what"] == "rollout-advanced"]
    assert advanced == [10, 25, 50]
    [rolled_back] = [line for line in trail if line["what"] == "breaker"]
    assert rolled_back["version"] == retraining.model_version
    assert (folder / "prod_models/current_version.txt").read_text().strip() == (
        retraining.model_version
    )
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", _port(done.stdout))) != 0, "the API still runs"


def _runs(engine: Engine) -> list[Run]:
    """The first model, the check, its retraining, and the forced one."""
    runs = list(reversed(list_runs(engine, 50)))
    assert len(runs) == 4, [(run.job, run.status, run.code) for run in runs]
    return runs


def _flagged_share_before_the_drift(engine: Engine) -> float:
    """Of the customers at their own pace: near that of the world the model has learned from."""
    newest = select(func.max(served.c.event_time)).scalar_subquery()
    steady = served.c.event_time < newest - DRIFT_DAYS_AGO * MICROS_PER_DAY
    flagged = select(func.count()).where(steady, served.c.decision != "approve")
    with engine.connect() as connection:
        rows = connection.scalar(select(func.count()).where(steady)) or 0
        assert rows > 4_000
        return (connection.scalar(flagged) or 0) / rows


def _port(told: str) -> int:
    return int(told.partition("API_PORT=")[2].split()[0])


def test_the_days_of_the_demo_go_by_once_each_and_in_order() -> None:
    world = DemoWorld(NOW_US)
    assert world.clock_us == world.at(LIVE_DAYS)
    rows = [row for day in world.days(DRIFT_DAYS_AGO) for row in day]
    rest = [row for day in world.days(0) for row in day]
    times = [row.time_us for row in rows + rest]
    assert times == sorted(times)
    assert (times[0] >= world.at(LIVE_DAYS), times[-1] < NOW_US) == (True, True)
    assert world.clock_us == NOW_US
    assert list(world.days(0)) == []
    dear, usual = _mean(rest, world.at(DRIFT_DAYS_AGO)), _mean(rows, 0)
    assert dear > 1.3 * usual


def _mean(rows: list[LiveRow], since_us: int) -> float:
    amounts = [row.body["amount"] for row in rows if row.time_us >= since_us]
    return float(sum(amounts) / len(amounts))
