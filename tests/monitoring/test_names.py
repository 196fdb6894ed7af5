"""Alerts and dashboards ask for figures that the service really gives."""

import json
import re
from pathlib import Path

from api.metrics import Metrics

MONITORING = Path("monitoring")
FIGURE = re.compile(r"\bunderstudy_[a-z_]+")
RECORDED = re.compile(r"\bunderstudy:[a-z_:0-9]+")


def asked() -> str:
    texts = [MONITORING / "rules.yml", *MONITORING.glob("grafana/dashboards/*.json")]
    return "".join(path.read_text(encoding="utf-8") for path in texts)


def test_every_figure_that_is_asked_for_is_exposed() -> None:
    exposed = set(FIGURE.findall(Metrics().render().decode()))
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
