"""Power cuts: of journal and database the flushed data remains, and parts of the rest."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.journal.journal import Journal
from api.journal.sink import DatabaseSink
from api.journal.writer import InProcessWriter
from benchmarks.journal_power import STATES, left_by_a_cut
from benchmarks.sync_tracer import Shadow, supported
from shared.tables.engine import connect
from tests.api.tiny import stored_rows
from tests.support.journals import row

pytestmark = pytest.mark.skipif(not supported(), reason="knows the kernel's calls of Linux only")


def run_until_the_power_fails(root: Path, shadow: Path, fsync: str) -> None:
    tracer = [sys.executable, "-m", "benchmarks.sync_tracer", str(root), str(shadow)]
    child = [sys.executable, "-m", "tests.api.power_child", str(root), fsync]
    with subprocess.Popen([*tracer, *child], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            pytest.skip("this kernel lets nobody trace")
        os.kill(process.pid, signal.SIGKILL)
        # its child holds the other end
        assert process.stdout.read() == ""


def drain_what_is_left(root: Path) -> set[str]:
    engine = connect(f"sqlite:///{root / 'understudy.db'}")
    journal = Journal(root / "journal", 64 * 1024)
    journal.open()
    journal.append([row("later")])
    writer = InProcessWriter(root / "journal", DatabaseSink(engine))
    while (span := journal.undrained()) is not None:
        written = writer.write_batch(*span)
        journal.release(written.position, written.count, written.damage)
    journal.close()
    stored = {str(stored["transaction_id"]) for stored in stored_rows(engine)}
    engine.dispose()
    return stored


@pytest.fixture(scope="module", params=["true", "false"])
def dark(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Shadow]:
    """A disk whose machine has lost its power, and the setting of the journal on it."""
    folder = tmp_path_factory.mktemp("dark")
    root, shadow = folder / "disk", folder / "shadow"
    (root / "journal").mkdir(parents=True)
    run_until_the_power_fails(root, shadow, request.param)
    return request.param, Shadow(root, shadow)


@pytest.mark.parametrize("state", STATES)
def test_after_a_power_cut_what_its_setting_promises_is_there(
    tmp_path: Path, dark: tuple[str, Shadow], state: str
) -> None:
    fsync, shadow = dark
    (tmp_path / "journal").mkdir()
    for path, content in left_by_a_cut(shadow, state, random.Random(1)).items():
        (tmp_path / path).write_bytes(content)
    promised = {f"drained-{number}" for number in range(20)} | {"later"}
    if fsync == "true":
        promised |= {f"waiting-{number}" for number in range(20)}
    assert promised <= drain_what_is_left(tmp_path)
