"""Services run side by side and end together."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from understudy.run import ServiceProcess, run_together

ROOT = Path(__file__).parents[2]
SERVES = "import signal; print('serving', flush=True); signal.pause()"
CLEANS_UP = (
    "import signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
    "print('serving', flush=True)\n"
    "while True: signal.pause()\n"
)


def _service(name: str, code: str) -> ServiceProcess:
    return ServiceProcess(name, [sys.executable, "-c", code], {})


def _start(*codes: str) -> "subprocess.Popen[str]":
    """A supervisor in a separate process: signals belong to a process."""
    services = ", ".join(
        f"ServiceProcess({f's{number}'!r}, [sys.executable, '-c', {code!r}], {{}})"
        for number, code in enumerate(codes)
    )
    code = (
        "import sys\nfrom understudy.run import ServiceProcess, run_together\n"
        f"sys.exit(run_together([{services}], lambda line: print(line, flush=True)))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def _read_until_all_serve(output: IO[str] | None, services: int) -> list[str]:
    assert output is not None
    lines: list[str] = []
    while sum("serving" in line for line in lines) < services:
        lines.append(output.readline())
        assert lines[-1], "the supervisor ended early"
    return lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_of_them_and_is_no_failure(number: int) -> None:
    supervisor = _start(SERVES, CLEANS_UP)
    lines = _read_until_all_serve(supervisor.stdout, 2)
    assert sorted(lines) == ["s0 | serving\n", "s1 | serving\n"]
    supervisor.send_signal(number)
    rest, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert "s1 | bye" in rest


def test_when_one_ends_the_other_is_stopped_and_the_exit_status_says_so() -> None:
    supervisor = _start(CLEANS_UP, "import sys; print('broken'); sys.exit(3)")
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 1
    assert "s1 ended with exit status 3" in output


def test_the_others_go_on_without_one_that_is_not_needed_and_it_is_said_once() -> None:
    code = (
        "import sys\nfrom understudy.run import ServiceProcess, run_together\n"
        f"needed = ServiceProcess('api', [sys.executable, '-c', {CLEANS_UP!r}], {{}})\n"
        "command = [sys.executable, '-c', 'raise SystemExit(2)']\n"
        "other = ServiceProcess('console', command, {}, is_needed=False)\n"
        "sys.exit(run_together([needed, other], lambda line: print(line, flush=True)))\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    lines = [""]
    while lines[-1] != "console ended with exit status 2; the services go on without it\n":
        lines.append(supervisor.stdout.readline())
        assert lines[-1], "the supervisor ended early"
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    rest, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == 0
    assert "console ended" not in rest


def test_even_a_service_that_ends_well_is_missed() -> None:
    told: list[str] = []
    code = run_together([_service("brief", "pass"), _service("api", SERVES)], told.append)
    assert code == 1
    assert told == ["brief ended with exit status 0; stopping"]
