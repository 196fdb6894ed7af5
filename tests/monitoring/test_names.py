"""Alerts and dashboards ask for figures that the services really give."""

import json
import re

from tests.monitoring.exposed import asked, engine, exposed_families, told_by_both
from tests.support.promtool import MONITORING

__all__ = ["engine", "told_by_both"]
RECORDED = re.compile(r"\bunderstudy:[a-z_:0-9]+")


def test_every_figure_that_is_asked_for_is_exposed(told_by_both: dict[str, str]) -> None:
    assert asked() <= exposed_families(*told_by_both.values())


def test_every_recorded_series_that_is_asked_for_is_recorded_and_the_others_are_asked_for() -> None:
    rules = (MONITORING / "rules.yml").read_text(encoding="utf-8")
    boards = [path.read_text("utf-8") for path in MONITORING.glob("grafana/dashboards/*.json")]
    recorded = set(re.findall(r"- record: (\S+)", rules))
    wanted = set(RECORDED.findall(re.sub(r"- record: \S+", "", rules) + "".join(boards)))
    assert wanted == recorded


def test_every_panel_has_a_query_on_the_provisioned_source() -> None:
    path = MONITORING / "grafana" / "dashboards" / "understudy.json"
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"understudy"}
