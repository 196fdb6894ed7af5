from pathlib import Path

from structlog.testing import capture_logs

from api.workers.file_watcher import FileWatcher
from api.workers.run_dir import RunDir
from shared.system.files import write_whole
from tests.api.server import wait_until


class Heard:
    """Counts calls; fails the first few when told to."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self._failures = failures

    def __call__(self) -> None:
        self.calls += 1
        if self.calls <= self._failures:
            raise ValueError("not yet")


def test_a_change_is_told_once_and_what_was_there_before_is_not(tmp_path: Path) -> None:
    path, heard, following = tmp_path / "file", Heard(), FileWatcher()
    write_whole(path, b"one")
    following.watch(path, heard)
    following.poll()
    assert heard.calls == 0
    write_whole(path, b"two")
    following.poll()
    following.poll()
    assert heard.calls == 1


def test_a_file_that_appears_or_goes_is_a_change(tmp_path: Path) -> None:
    path, heard, following = tmp_path / "file", Heard(), FileWatcher()
    following.watch(path, heard)
    write_whole(path, b"one")
    following.poll()
    path.unlink()
    following.poll()
    assert heard.calls == 2


def test_the_same_bytes_written_again_are_a_change(tmp_path: Path) -> None:
    path, heard, following = tmp_path / "file", Heard(), FileWatcher()
    write_whole(path, b"one")
    following.watch(path, heard)
    write_whole(path, b"one")
    following.poll()
    assert heard.calls == 1


def test_a_call_that_fails_is_repeated_and_the_thread_lives(tmp_path: Path) -> None:
    path, heard, chore = tmp_path / "file", Heard(failures=2), Heard(failures=1)
    following = FileWatcher(poll_seconds=0.005, retry_seconds=0)
    following.watch(path, heard)
    following.every(0.01, chore)
    with capture_logs() as logs:
        write_whole(path, b"one")
        following.start()
        try:
            wait_until(lambda: heard.calls == 3 and chore.calls > 2)
        finally:
            following.stop()
    assert [line["event"] for line in logs] == ["file_watcher_failed"] * 3


def test_what_a_worker_says_is_read_by_the_others_while_it_lives(tmp_path: Path) -> None:
    first, second = RunDir(tmp_path / "run", 0, 2), RunDir(tmp_path / "run", 1, 2)
    first.publish("state", {"version": "1.0.0"})
    assert second.reports("state")[0]["version"] == "1.0.0"
    first.retract("state")
    assert second.reports("state") == {}


def test_what_a_dead_process_said_is_not_read(tmp_path: Path) -> None:
    run = RunDir(tmp_path, 0, 1)
    run.publish("state", {})
    (tmp_path / "state-0.json").write_text('{"pid": 4194305}')
    assert run.reports("state") == {}
    (tmp_path / "state-0.json").write_text("{")
    assert run.reports("state") == {}


def test_a_run_directory_that_cannot_be_written_is_told_once_and_costs_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "run").write_text("a file where the directory should be")
    run = RunDir(tmp_path / "run")
    with capture_logs() as logs:
        run.publish("state", {})
        run.publish("state", {})
    assert [line["event"] for line in logs] == ["run_dir_not_writable"]
    assert run.reports("state") == {}
