"""docs/operations/metrics.md lists what the services expose, and what to do about it."""

import re
from pathlib import Path

from tests.monitoring.exposed import asked, engine, exposed_families, told_by_both
from tests.support.promtool import MONITORING, promtool_check_metrics

__all__ = ["engine", "told_by_both"]
PAGE = Path("docs/operations/metrics.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| `understudy_")
]
NAME = re.compile(r"`(understudy_\w+)`")


def test_the_page_lists_every_metric_and_no_other(told_by_both: dict[str, str]) -> None:
    listed = {name for row in ROWS for name in NAME.findall(row[0])}
    assert listed == exposed_families(*told_by_both.values())


def test_the_page_lists_every_alert_and_no_other() -> None:
    rules = (MONITORING / "rules.yml").read_text(encoding="utf-8")
    tables = PAGE[PAGE.index("## Alerts") :]
    listed = {
        name
        for line in tables.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert listed == set(re.findall(r"- alert: (\w+)", rules))


def test_alerts_that_the_metrics_name_exist() -> None:
    rules = (MONITORING / "rules.yml").read_text(encoding="utf-8")
    alerts = set(re.findall(r"- alert: (\w+)", rules))
    named = {name for row in ROWS for name in re.findall(r"`([A-Z][a-z]\w+)`", row[3])}
    assert named <= alerts


def test_each_metric_is_in_an_alert_or_a_panel_or_says_when_to_act() -> None:
    used = asked()
    idle = {
        name for row in ROWS for name in NAME.findall(row[0]) if name not in used and not row[3]
    }
    # There is nothing to do about a worker's share of the work.
    assert idle <= {"understudy_forwarded_rows_total"}


def test_the_names_follow_the_conventions(told_by_both: dict[str, str]) -> None:
    for text in told_by_both.values():
        promtool_check_metrics(text)
