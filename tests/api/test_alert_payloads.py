"""Payloads of alert webhooks: whoever names the version that serves is heard, whatever the rest."""

from typing import Any

import httpx
import pytest

from api.routes.alerts import Webhook
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.server import Running

GRAFANA = {
    "receiver": "understudy", "status": "firing", "orgId": 1, "title": "[FIRING:1]", "version": "1",
    "state": "alerting", "message": "**Firing**", "groupKey": "{}", "truncatedAlerts": 0,
    "groupLabels": {}, "commonLabels": {"model_version": "1.0.1"}, "commonAnnotations": {},
    "externalURL": "http://grafana.invalid/",
}  # fmt: skip


def alert(version: object = "1.0.1", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": "ErrorRate", "model_version": version}
    said = {"status": "firing", "labels": labels, "annotations": {"summary": "errors above 5 %"}}
    return said | {"values": {"B": 0.061}, "silenceURL": "", "fingerprint": "0a1b"} | changes


def post(server: Running, body: dict[str, Any]) -> httpx.Response:
    return server.client.post("/alert", json=body, headers=server.bearer(Role.ALERT))


OTHERS = [alert("1.0.0"), alert(labels={"alertname": "InstanceDown"}), alert(status="resolved")]


@pytest.mark.parametrize(
    "body",
    [
        GRAFANA | {"alerts": [alert()]},
        {"version": "4", "alerts": [alert(), *([alert(labels={})] * 1_000)]},
        {"version": "4", "alerts": [*(OTHERS * 3_000), alert()]},
        {"version": 5, "alerts": [None, "text", alert(labels=None), alert(annotations=None)]},
        {"alerts": [alert(status=None)], "status": "firing"},
        {"alerts": [alert(labels={})], "commonLabels": {"model_version": "1.0.1"}},
        {"alerts": [alert(labels={"model_version": " 1.0.1 ", "shard": 3})]},
    ],
    ids=["grafana", "storm", "last of many", "odd neighbours", "status of the group",
         "common label", "odd labels"],
)  # fmt: skip
def test_a_payload_that_names_the_serving_version_rolls_back(
    settings: Settings, signer: Signer, body: dict[str, Any]
) -> None:
    install(settings, signer, "1.0.1")
    with Running(settings) as server:
        answer = post(server, body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["action"], answer.json()["version"]) == ("rolled-back", "1.0.0")


@pytest.mark.parametrize(
    "body",
    [
        {"version": "1", "alerts": OTHERS},
        {"version": "1", "status": "resolved", "alerts": [alert(status=None)]},
        {"alerts": [alert(labels={"alertname": "DatasourceNoData", "model_version": "1.0.1"})]},
        {"alerts": []},
    ],
    ids=["about others", "resolved group", "rule without data", "none"],
)
def test_a_payload_that_blames_nobody_who_serves_changes_nothing(
    settings: Settings, signer: Signer, body: dict[str, Any]
) -> None:
    install(settings, signer, "1.0.1")
    with Running(settings) as server:
        assert post(server, body).json()["action"] == "none"
        assert server.client.get("/current_model").json()["version"] == "1.0.1"


def test_what_is_no_list_of_alerts_is_refused(serving: Running) -> None:
    assert post(serving, {"alerts": "all of them"}).status_code == 422
    assert post(serving, {"version": "4"}).status_code == 422


def test_the_summary_of_an_alert_becomes_the_reason() -> None:
    (first,) = Webhook.model_validate({"alerts": [alert()]}).firing()
    assert first.summary == "ErrorRate: errors above 5 %"
    long = {"alerts": [alert(annotations={"description": "x" * 900})]}
    assert len(Webhook.model_validate(long).firing()[0].summary) == 500
