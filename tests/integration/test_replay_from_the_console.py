"""A replay from the button to the report: console, API and scheduler as they are."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.services import Services
from benchmarks.small_world import write_small_world
from console.settings import ConsoleSettings
from console.wiring import wire
from shared.clock import MICROS_PER_DAY, SystemClock, isoformat
from shared.keys.tokens import Role, read_token
from shared.tables.runs import UNFINISHED, Run, RunStatus, get_run, list_runs
from tests.support.console_bench import OWN, Browser, form_token

ROWS = 4_000
# a loaded machine plays a round in minutes
PATIENCE_SECONDS = 900
pytestmark = pytest.mark.slow


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with Services(tmp_path, REPLAY_DIR=str(tmp_path / "replay")) as services:
        write_small_world(services.engine, SystemClock().now_us(), ROWS)
        services.start_api()
        services.start("scheduler")
        yield services


@pytest.fixture
def browser(services: Services) -> Iterator[Browser]:
    folder, given = services.folder, services.environment
    settings = ConsoleSettings(
        database_url=given["DATABASE_URL"],
        api_url=services.url,
        keys_dir=folder / "keys",
        prod_models_dir=folder / "prod_models",
        retrained_models_dir=folder / "retrained_models",
        replay_dir=folder / "replay",
        console_allowed_hosts="testserver",
        scheduler_metrics_url=None,
    )
    wired = wire(settings)
    with asyncio.Runner() as runner:
        yield Browser(wired.app, runner, {"Origin": OWN, "Sec-Fetch-Site": "same-origin"})
    wired.close()


def deed(services: Services, browser: Browser, name: str, **fields: str) -> Any:
    page = browser.get(f"/what-if?begin={day(8)}&every=1W").text
    token = read_token(services.folder / "keys", Role.OPERATOR)
    form = {"form_token": form_token(page), "person": "anna", "token": token,
            "reason": "is two weeks often enough?", **fields}  # fmt: skip
    return browser.post(f"/deeds/{name}", data=form)


def day(ago: int) -> str:
    return isoformat(SystemClock().now_us() - ago * MICROS_PER_DAY)[:10]


def replays(services: Services) -> list[Run]:
    return [run for run in list_runs(services.engine) if run.job == "replay"]


def over(services: Services, run_id: int) -> Run:
    def look() -> Run | None:
        run = get_run(services.engine, run_id)
        return run if run is not None and run.status not in UNFINISHED else None

    return services.wait_for(look, PATIENCE_SECONDS)


def test_a_replay_is_started_watched_read_and_cancelled_from_the_console(
    services: Services, browser: Browser
) -> None:
    started = deed(services, browser, "start-replay", begin=day(8), every="1W", metric="")
    assert started.status_code == 200, started.text
    (run,) = replays(services)
    refused = deed(services, browser, "start-replay", begin=day(8), every="1W", metric="")
    assert refused.status_code == 409
    assert f"run {run.run_id}" in refused.text

    ended = over(services, run.run_id)
    assert ended.status is RunStatus.SUCCEEDED, f"{ended.message}\n{services.log_ends()}"
    assert ended.requested_by == "operator/anna"
    shown = browser.get("/what-if.json").json()
    assert (shown["runs"][0]["done"], shown["runs"][0]["status"]) == (2, "SUCCEEDED")
    assert shown["replays"][0]["rounds"] == 2
    report = browser.get(shown["runs"][0]["report"])
    assert report.status_code == 200
    assert "</html>" in report.text

    deed(services, browser, "start-replay", begin=day(50), every="1D", metric="")
    second = replays(services)[0]
    cancelled = deed(services, browser, "cancel-run", run_id=str(second.run_id))
    assert cancelled.status_code == 200, cancelled.text
    assert over(services, second.run_id).code == "cancelled"
    lines = (services.folder / "prod_models" / "audit.jsonl").read_text().splitlines()
    trail = [json.loads(line) for line in lines]
    done = [(one["what"], one["who"], one["run_id"]) for one in trail if "run_id" in one]
    assert ("replay-requested", "operator/anna", run.run_id) in done
    assert ("run-cancelled", "operator/anna", second.run_id) in done
