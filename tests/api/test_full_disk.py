"""A disk that is really full: a file system of 256 KiB, mounted for the test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows

SIZE_KIB = 256


@pytest.fixture
def small_disk(settings: Settings) -> Iterator[Path]:
    """JOURNAL_DIR on a file system of its own."""
    folder = settings.journal_dir
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount; test_journal.py has the same with a file limit")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Something else takes all the space there is."""
    path = folder / "somebody-elses"
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1024))
            except OSError:
                return path


def test_on_a_full_disk_nothing_is_answered_that_is_not_kept(
    settings: Settings, small_disk: Path
) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 60})
    with Running(slow) as server:
        other = fill(small_disk)
        answers = {f"t{n}": server.score(amount=1.0, transaction_id=f"t{n}") for n in range(60)}
        kept = {name for name, answer in answers.items() if answer.status_code == 200}
        refused = next(answer for answer in answers.values() if answer.status_code != 200)
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:understudy:problem:journal-full"
        assert "disk" in server.client.get("/readyz").json()["detail"]
        assert "understudy_journal_refusing 1.0" in server.client.get("/metrics").text
        other.unlink()
        assert server.client.get("/readyz").status_code == 200
        assert server.score(amount=1.0, transaction_id="last").status_code == 200
    # Told to stop, it has drained.
    with Running(settings) as server:
        assert {row["transaction_id"] for row in stored_rows(server.service.database.engine)} == {
            *kept,
            "last",
        }


def test_a_disk_that_the_journal_filled_is_free_again_once_it_is_drained(
    settings: Settings, small_disk: Path
) -> None:
    database = settings.journal_dir.parent / "understudy.db"
    kept = database.with_name("kept.db")
    database.rename(kept)
    database.mkdir()
    answered = set()
    with Running(settings) as server:
        for number in range(2_000):
            answer = server.score(amount=1.0, transaction_id=f"t{number}")
            if answer.status_code != 200:
                break
            answered.add(f"t{number}")
        assert answer.status_code == 503
        assert sum(path.stat().st_size for path in small_disk.iterdir()) > SIZE_KIB * 1_000
        database.rmdir()
        wait_until(lambda: server.client.get("/readyz").status_code == 200, 15)
        assert server.score(amount=1.0, transaction_id="last").status_code == 200
        server.drained()
        stored = {row["transaction_id"] for row in stored_rows(server.service.database.engine)}
    assert stored == answered | {"last"}
    # What a next start would read begins where the disk was emptied.
    with Running(settings) as server:
        assert server.service.journaling.journal.backlog == 0
        assert server.score(amount=1.0, transaction_id="last").json()["probability"] == 0.5
