"""Child processes: started apart from our terminal, ended with all they started, and with us."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.system.child_processes import (
    INSTALLATION,
    ChildProcess,
    bare_environment,
    how_it_ended,
    kill_child,
    module_command,
    start_child,
    stop_child,
    stop_children,
)

# generous: the machine may be busy
LIMIT_SECONDS = 30.0
OBEDIENT = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"
PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-c", {child!r}, str(os.getpid())]
child = subprocess.Popen(command, start_new_session={separated})
print(child.pid, flush=True)
time.sleep(600)
"""
CHILD = """
import signal, sys, time
from shared.system.child_processes import end_with_parent
{before}
end_with_parent(int(sys.argv[1]), signal.{number}, by_kernel={by_kernel})
open({ready!r}, "w").close()
{forever}
"""
LOOP = "while True: time.sleep(0.01)"
HOLDS_THE_LOCK = "import re; re.match('(a+)+$', 'a' * 64 + 'b')"


def python(code: str) -> ChildProcess:
    return start_child([sys.executable, "-c", code], stdout=subprocess.PIPE)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie that nobody has waited for is not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def stubborn() -> Iterator[ChildProcess]:
    child = python(STUBBORN)
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    kill_child(child)
    child.stdout.close()


@pytest.mark.parametrize("by_kernel", [False, True])
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, by_kernel: bool) -> None:
    assert ended_with_parent(tmp_path, by_kernel=by_kernel, forever=LOOP)


def test_the_kernel_ends_a_child_whose_machine_code_keeps_the_interpreter(tmp_path: Path) -> None:
    assert ended_with_parent(tmp_path, by_kernel=True, forever=HOLDS_THE_LOCK)


def test_a_child_may_be_asked_to_end_instead_of_being_killed(tmp_path: Path) -> None:
    last_words = tmp_path / "last words"
    before = (
        f"def end(*_): open({str(last_words)!r}, 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)"
    )
    assert ended_with_parent(tmp_path, number="SIGTERM", before=before, forever=LOOP)
    assert last_words.exists()


def ended_with_parent(
    folder: Path,
    *,
    by_kernel: bool = False,
    number: str = "SIGKILL",
    before: str = "",
    forever: str,
) -> bool:
    ready = folder / "ready"
    child = CHILD.format(
        before=before, number=number, by_kernel=by_kernel, ready=str(ready), forever=forever
    )
    parent = start_child(
        [sys.executable, "-c", PARENT.format(child=child, separated=True)],
        folder=INSTALLATION,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        wait_until(ready.exists)
        assert is_alive(pid)
        # the parent alone: its child is in another session
        parent.kill()
        parent.wait()
    wait_until(lambda: not is_alive(pid))
    return True


def test_a_child_whose_parent_is_gone_before_it_looks_ends_at_once() -> None:
    code = "from shared.system.child_processes import end_with_parent; end_with_parent(1); print()"
    child = start_child([sys.executable, "-c", code], folder=INSTALLATION)
    assert child.wait(LIMIT_SECONDS) == -signal.SIGKILL


def test_a_child_that_obeys_is_not_killed() -> None:
    child = python(OBEDIENT)
    assert child.stdout is not None
    with child.stdout as lines:
        lines.readline()
        assert stop_child(child, LIMIT_SECONDS)
    assert child.returncode == -signal.SIGTERM


def test_one_that_does_not_obey_is_killed_and_named(stubborn: ChildProcess) -> None:
    obedient = python(OBEDIENT)
    assert obedient.stdout is not None
    with obedient.stdout as lines:
        lines.readline()
        assert stop_children([obedient, stubborn], 3.0) == [stubborn]
    assert (obedient.returncode, stubborn.returncode) == (-signal.SIGTERM, -signal.SIGKILL)


def test_what_a_child_started_is_killed_with_it() -> None:
    child = python(PARENT.format(child=OBEDIENT, separated=False))
    assert child.stdout is not None
    with child.stdout as lines:
        grandchild = int(lines.readline())
        kill_child(child)
    wait_until(lambda: not is_alive(grandchild))


def test_a_child_is_in_a_session_of_its_own_and_reads_nothing_of_ours() -> None:
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    child = python(code)
    output, _ = child.communicate(timeout=LIMIT_SECONDS)
    assert output.split() == [b"True", b"''"]


def test_a_bare_environment_holds_no_setting_and_lets_our_packages_be_imported(
    tmp_path: Path,
) -> None:
    code = "import os, sys, shared; print(*sorted(os.environ))"
    child = start_child(
        [sys.executable, "-c", code],
        folder=tmp_path,
        environment=bare_environment(str(tmp_path)),
        stdout=subprocess.PIPE,
    )
    output, _ = child.communicate(timeout=LIMIT_SECONDS)
    names = {name for name in output.decode().split() if not name.startswith("LC_")}
    assert names >= {"HOME", "PYTHONPATH"}
    assert not names & {name for name in os.environ if "TOKEN" in name or "DATABASE" in name}


def test_a_module_is_run_by_this_interpreter() -> None:
    assert module_command("api.smoke", "x") == [sys.executable, "-m", "api.smoke", "x"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3, "ended with status 3"),
        (-9, "was ended by SIGKILL (signal 9)"),
        (-99, "was ended by signal 99"),
    ],
)
def test_a_status_is_said_in_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words
