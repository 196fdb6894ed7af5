"""What is logged has a bound, and what is omitted is counted."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from shared.log_limits import LEFT_OUT, BoundedFileHandler, EventQuota, LogLimits

ROOT = Path(__file__).parents[2]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.WARNING, "", 0, text, (), None)


def is_written(quota: EventQuota, event: str) -> bool:
    try:
        quota(None, "warning", {"event": event})
    except structlog.DropEvent:
        return False
    return True


def test_the_first_lines_of_each_event_are_written_and_the_rest_is_counted() -> None:
    clock = Hand()
    quota = EventQuota(3, clock)
    assert [is_written(quota, "a") for _ in range(5)] == [True] * 3 + [False] * 2
    assert is_written(quota, "b")
    with structlog.testing.capture_logs() as told:
        clock.seconds = 61
        assert is_written(quota, "b")
    assert [(line["event"], line["of"], line["lines"]) for line in told] == [(LEFT_OUT, "a", 2)]


def test_lines_of_libraries_are_counted_by_their_unfilled_text() -> None:
    quota = EventQuota(1, Hand())
    assert [quota.filter(record("refused %s")) for _ in range(3)] == [True, False, False]


def test_a_line_that_two_handlers_write_is_counted_once() -> None:
    quota, line = EventQuota(1, Hand()), record("refused")
    assert [quota.filter(line), quota.filter(line), quota.filter(record("refused"))] == [
        True, True, False,
    ]  # fmt: skip


def test_events_of_ever_new_names_share_one_count() -> None:
    quota = EventQuota(2, Hand())
    written = sum(is_written(quota, f"event {number}") for number in range(10_000))
    assert written < 1_000


def test_without_a_bound_all_is_written() -> None:
    quota = EventQuota(0)
    assert all(is_written(quota, "a") for _ in range(10_000))


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_large_file_is_put_aside_and_the_oldest_goes(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "api.log"
    handler = BoundedFileHandler(path, LogLimits(file_bytes=1_000, files_kept=kept))
    for number in range(500):
        handler.emit(record(f"line {number}"))
    handler.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["api.log", *(f"api.log.{n + 1}" for n in range(kept))]
    assert all(file.stat().st_size < 1_100 for file in files)
    newest_first = [line for file in files for line in reversed(file.read_text().splitlines())]
    assert newest_first[:2] == ["line 499", "line 498"]


def test_processes_that_share_a_file_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    write = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from shared.log_limits import BoundedFileHandler, LogLimits\n"
        "handler = BoundedFileHandler(Path(sys.argv[1]), LogLimits(0, 20_000, 100))\n"
        "log = logging.getLogger(); log.addHandler(handler)\n"
        "for number in range(2_000): log.warning('%s-%d', sys.argv[2], number)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", write, str(path), name], cwd=ROOT) for name in "abc"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    wanted = {f"{name}-{number}" for name in "abc" for number in range(2_000)}
    assert set(lines) == wanted
    assert len(lines) == len(wanted)
    assert len(list(tmp_path.iterdir())) >= 2


def test_a_flood_of_one_event_is_a_few_lines_and_says_how_many_it_was(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "import sys, structlog\n"
        "from shared.log_limits import LogLimits\n"
        "from shared.logs import configure_logging\n"
        "configure_logging('test', 'info', 'json', Path(sys.argv[1]), LogLimits(10))\n"
        "log = structlog.get_logger()\n"
        "for number in range(5_000): log.warning('refused', text='x' * 100_000)\n"
        "log.info('another')\n"
    )
    path = tmp_path / "test.log"
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, check=True, stdout=-3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["refused"] * 10 + ["another"]
    assert path.stat().st_size < 50_000
