"""Every query of every panel, asked of a live Prometheus that scrapes both services."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.keys.tokens import Role
from shared.system.child_processes import module_command, start_child, stop_child
from tests.support.promtool import MONITORING, tool
from understudy.rehearsal import models
from understudy.rehearsal.monitoring import Monitoring
from understudy.rehearsal.service import RehearsalService, RehearsalTraffic, free_port

PATH = MONITORING / "grafana" / "dashboards" / "understudy.json"
PANELS = [
    panel
    for panel in json.loads(PATH.read_text(encoding="utf-8"))["panels"]
    if panel["type"] != "row"
]
SCALE = 0.1
# Panels that may show nothing here, and what would have to happen first.
EMPTY_HERE = {
    "On trial: version and share of users": "a rollout",
    "Stage: share of users over time": "a rollout",
    "Rows a model failed to score, share of each arm": "a rollout",
    "Alerts, share of each arm": "a rollout",
    "Mean time of a row, each arm": "a rollout",
    "Split: candidate's share of users, asked and found": "a rollout",
    "Shadow: share of rows dropped, restarts": "a rollout",
    "A fresh version and its predecessor: seconds a row": "an activation within the last hour",
    "Average precision: realised, promised, expected": "a drift check with matured rows",
    "Area under the curve: realised, promised, expected": "a drift check with matured rows",
    "Drift: effect of a column, as a multiple of its floor": "a drift check",
    "Drift: alarm, rows with labels": "a drift check",
    "Drift: age of the newest check": "a drift check",
    "Delay of labels": "labels of stored rows",
    "Mean duration of a step": "a run with steps",
    "Mean duration of a run": "a run",
    "Since the last success": "a run that succeeded",
    "Alerts firing": "an alert",
    "Last rollback: seconds ago": "a rollback",
}


def scheduler_environment(service: RehearsalService, port: int) -> dict[str, str]:
    folder = service.folder
    return {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'understudy.db'}",
        "API_URL": service.url,
        "KEYS_DIR": str(folder / "keys"),
        "RETRAINED_MODELS_DIR": str(folder / "retrained_models"),
        "TEST_DATA_DIR": str(folder / "test_data"),
        "WORK_DIR": str(folder / "work"),
        "DRIFT_REPORTS_DIR": str(folder / "drift"),
        "HEARTBEAT_FILE": str(folder / "heartbeat"),
        "METRICS_PORT": str(port),
        "METRICS_HOST": "127.0.0.1",
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """Both services under a little traffic, after a promotion, a rollback and a label."""
    tool("prometheus")
    tool("prometheus-alertmanager")
    folder, port = tmp_path_factory.mktemp("dashboard"), free_port()
    with RehearsalService(folder, SERVED_WELL_SECONDS="1", SERVED_WELL_ROWS="5") as service:
        service.push(models.good("1.0.0"))
        with (folder / "scheduler.log").open("wb") as log:
            scheduler = start_child(
                module_command("scheduler.main"),
                environment=scheduler_environment(service, port),
                stdout=log,
                stderr=log,
            )
        try:
            with (
                Monitoring(folder, service.port, service.token(Role.ALERT), SCALE, port) as found,
                RehearsalTraffic(service.port, 30.0, 1.0),
            ):
                service.wait_for(service.served_well, 60, "it did not serve well")
                service.push(models.good("1.0.1"))
                change(service)
                wait_until_asked(service, found)
                yield found
        finally:
            stop_child(scheduler, 15)


def change(service: RehearsalService) -> None:
    """A rollback, and a label of a row that was sent before."""
    said = {"reason": "a test"}
    headers = {"Authorization": f"Bearer {service.token(Role.OPERATOR)}"}
    done = httpx.post(f"{service.url}/rollback_model", json=said, headers=headers, timeout=30)
    assert done.status_code == 200, done.text
    label = {"labels": [{"transaction_id": "t0", "label": 1}]}
    headers = {"Authorization": f"Bearer {service.token(Role.FEEDBACK)}"}
    told = httpx.post(f"{service.url}/feedback", json=label, headers=headers, timeout=30)
    assert told.status_code == 200, told.text


def wait_until_asked(service: RehearsalService, found: Monitoring) -> None:
    def is_scraped() -> bool:
        try:
            return len(found.ask("up == 1")) == 2 and bool(found.ask("understudy:serving"))
        except httpx.HTTPError:
            return False

    service.wait_for(is_scraped, 120, "Prometheus did not scrape both services")
    # rates need several scrapes, and rules an evaluation behind them
    time.sleep(12)


def asked(panel: dict[str, Any], watched: Monitoring) -> list[Any]:
    found = []
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "10s")
        found += watched.ask(query)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_prometheus_answers_what_a_panel_asks(panel: dict[str, Any], watched: Monitoring) -> None:
    found = asked(panel, watched)
    assert found or panel["title"] in EMPTY_HERE, "the panel asks for what there never is"


def test_a_panel_without_data_says_0() -> None:
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["noValue"] == "0", panel["title"]


def test_the_panels_that_may_be_empty_exist() -> None:
    assert {panel["title"] for panel in PANELS} >= set(EMPTY_HERE)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(PATH.read_text(encoding="utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_dashboard_is_where_grafana_looks() -> None:
    provisioning = Path("monitoring/grafana/provisioning/dashboards/understudy.yml").read_text()
    assert "path:" in provisioning
    assert PATH.is_file()
