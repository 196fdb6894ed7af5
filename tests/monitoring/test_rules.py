"""The alerts themselves, by promtool: each fires when it should and is silent when it should."""

import re

import pytest

from tests.support.promtool import MONITORING, run, tool

CASES = tuple(sorted(path.name for path in MONITORING.glob("rules_test*.yml")))


def read(*names: str) -> str:
    return "".join((MONITORING / name).read_text(encoding="utf-8") for name in names)


def test_prometheus_takes_its_files() -> None:
    run(tool("promtool"), "check", "config", str(MONITORING / "prometheus.yml"))


@pytest.mark.parametrize("name", CASES)
def test_the_rules_do_what_their_cases_say(name: str) -> None:
    run(tool("promtool"), "test", "rules", str(MONITORING / name))


def test_alertmanager_takes_its_file() -> None:
    run(tool("amtool"), "check-config", str(MONITORING / "alertmanager.yml"))


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", read("rules.yml")))
    cases = re.findall(r"alertname: (\w+),?\s+exp_alerts:( \[\])?", read(*CASES))
    firing = {name for name, empty in cases if not empty}
    silent = {name for name, empty in cases if empty}
    assert alerts
    # the watchdog is never silent
    assert (alerts - firing, alerts - silent) == (set(), {"Watchdog"})


def test_an_alert_that_rolls_back_reaches_people_before_the_rollback_resolves_it() -> None:
    route = r"matchers: \[action = rollback\]\s+receiver: people\s+group_wait: 0s"
    assert re.search(route, read("alertmanager.yml"))
