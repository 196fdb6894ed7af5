"""A bad version, a real API, Prometheus and Alertmanager: the automatic rollback end to end."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.promtool import tool
from understudy.cli import app
from understudy.rehearsal import monitoring
from understudy.rehearsal.story import BAD, GOOD, UNKNOWN, Fault, RehearsalReport, rehearse

# Every duration of the shipped rules times this; the same rules, and the same numbers of rows.
SCALE = 0.1
Record = Callable[[str, object], None]


def rehearsed(fault: Fault, *, with_alerts: bool) -> tuple[RehearsalReport, str]:
    lines: list[str] = []
    outcome = rehearse(fault, SCALE, lines.append, with_alerts=with_alerts)
    told = "\n".join(lines)
    sys.stderr.write(f"{told}\n")
    return outcome, told


@pytest.mark.slow
def test_a_slow_version_is_rolled_back_by_an_alert_and_people_are_told(
    record_property: Record,
) -> None:
    tool("prometheus")
    tool("prometheus-alertmanager")
    outcome, told = rehearsed(Fault.SLOW_MODEL, with_alerts=True)
    record_property("seconds_from_first_slow_answer_to_rollback", round(outcome.seconds, 1))
    assert outcome.by.startswith(f"alert: NewModelSlow: Version {BAD} takes")
    assert "s from the first slow answer" in told
    # people hear of it although the rollback resolves the alert at once
    assert outcome.told is not None
    assert BAD in outcome.told
    # the same notification again, and one about a version that does not serve
    for answer in (outcome.repeated, outcome.old_version):
        assert answer is not None
        assert (answer["action"], answer["version"]) == ("none", GOOD)
    assert outcome.told_of_old == "an order about a version that does not serve"
    assert UNKNOWN in told


@pytest.mark.slow
def test_a_failing_version_is_rolled_back_by_the_breaker_and_no_caller_notices() -> None:
    tool("prometheus")
    tool("prometheus-alertmanager")
    outcome, _ = rehearsed(Fault.FAILING_MODEL, with_alerts=True)
    assert "NaN or infinity" in outcome.by
    assert outcome.told is not None
    assert BAD in outcome.told
    assert (outcome.answered > 0, outcome.failed) == (True, 0)


@pytest.mark.slow
def test_without_prometheus_the_breaker_rolls_a_slow_version_back() -> None:
    outcome, told = rehearsed(Fault.SLOW_MODEL, with_alerts=False)
    assert "the limit is 0.01 s" in outcome.by
    assert "Prometheus" not in told
    assert outcome.told is None


@pytest.mark.slow
def test_a_rehearsal_that_is_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "understudy", "rehearse", "failing-model"]
    with (tmp_path / "told").open("wb") as told:
        process = subprocess.Popen(command, stdout=told, stderr=told, cwd=Path.cwd())
    time.sleep(8)
    children = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert children
    for child in children:
        assert not Path(f"/proc/{child}").exists()


def test_the_help_says_what_happens_and_what_is_needed() -> None:
    for command in ("slow-model", "failing-model"):
        answer = CliRunner().invoke(app, ["rehearse", command, "--help"])
        assert answer.exit_code == 0
        for word in ("rolls", "Prometheus", "--scale", "Exit status", f"rehearse {command}"):
            assert word.lower() in answer.output.lower()


def test_alertmanager_is_found_by_either_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    found = monitoring.program("prometheus-alertmanager", path=str(tmp_path))
    assert found == str(path)
    assert monitoring.program("prometheus", path=str(tmp_path)) is None
