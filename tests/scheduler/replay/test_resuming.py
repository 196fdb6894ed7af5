"""A replay goes on where it stopped, whatever stopped it, and never with rounds of another."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock
from sqlalchemy import Engine

from scheduler.cycle.candidates import BUNDLE
from scheduler.replay.plan import ReplayImpossible
from scheduler.replay.record import Round
from scheduler.replay.workspace import CANDIDATES, ROUNDS
from shared.errors import DataUnavailable
from shared.tables.engine import connect, migrate
from shared.verdicts import Verdict
from tests.scheduler.replay.chronicle import Chronicle
from tests.support.replay_bench import ReplayBench, weekly

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PROCESS = Path(__file__).with_name("replay_process.py")
# what a machine does at its own pace
_BY_CHANCE = ("seconds", "steps", "fencingnumber")


def told(rounds: Sequence[Round]) -> list[Any]:
    """The rounds without what may differ from one time to the next."""
    return [_stripped(asdict(record)) for record in rounds]


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in value.items() if name not in _BY_CHANCE}
    if isinstance(value, list | tuple):
        return [_stripped(item) for item in value if not _is_latency(item)]
    return value


def _is_latency(value: Any) -> bool:
    return isinstance(value, dict) and value.get("gate") == "latency"


def test_a_finished_replay_is_not_played_again(bench: ReplayBench) -> None:
    rounds, notes = bench.play()
    assert (notes.found, len(notes.played)) == (0, len(rounds))
    again, notes = bench.play()
    assert (notes.found, notes.played) == (len(rounds), [])
    assert again == rounds


def test_a_longer_range_goes_on_after_the_rounds_there_are(bench: ReplayBench) -> None:
    rounds, _ = bench.play(spans=weekly(10, 18, "4W"))
    longer, notes = bench.play()
    assert longer[: len(rounds)] == rounds
    assert notes.found == len(rounds)


@pytest.mark.parametrize(
    "changes",
    [
        {"spans": weekly(10, 14, "2W")},
        {"spans": weekly(11, 15, "4W")},
        {"seed": 2},
        {"latency_budget_ms": 999.0},
        {"settings": ("handbook",)},
        {"use_case": Chronicle(name="other")},
    ],
    ids=["every", "from", "seed", "latency", "protocol", "use case"],
)
def test_rounds_of_another_replay_are_never_used(
    bench: ReplayBench, changes: dict[str, object]
) -> None:
    spans = weekly(10, 14, "4W")
    rounds, _ = bench.play(spans=spans)
    other, notes = bench.play(**{"spans": spans, **changes})
    assert notes.found == 0
    assert bench.play(spans=spans)[0] == rounds
    assert len(other) == len(notes.played)


def test_another_policy_is_another_replay(bench: ReplayBench) -> None:
    spans = weekly(10, 14, "4W")
    bench.play(spans=spans)
    stricter = replace(Chronicle().policy, name="stricter")
    _, notes = bench.play(spans=spans, use_case=Chronicle(policy=stricter))
    assert notes.found == 0


def test_rounds_from_a_corrected_label_on_are_played_again(bench: ReplayBench) -> None:
    rounds, _ = bench.play()
    everything = Chronicle().snapshot(bench.asked.history, bench.asked.known_us)
    third = rounds[2].span
    [changed] = everything.filter(
        pl.col("event_time").is_between(rounds[1].span.until_us, third.until_us)
    )["transaction_id"][:1]
    _, notes = bench.play(use_case=Chronicle(corrected=changed))
    assert notes.found == 2


def test_a_round_whose_bundle_is_damaged_is_played_again(bench: ReplayBench) -> None:
    rounds, notes = bench.play()
    bundle = notes.folder / CANDIDATES / str(rounds[1].candidate) / BUNDLE
    bundle.write_bytes(bundle.read_bytes()[:-1])
    again, notes = bench.play()
    assert notes.found == 1
    assert told(again) == told(rounds)


def test_half_a_round_file_is_no_round(bench: ReplayBench) -> None:
    rounds, notes = bench.play()
    file = notes.folder / ROUNDS / "0003.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:500])
    again, notes = bench.play()
    assert notes.found == 2
    assert told(again) == told(rounds)
    # a digit of a figure: still JSON, and no longer what was found
    place = next(at for at in range(len(whole) // 2, len(whole)) if whole[at : at + 1].isdigit())
    file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    again, notes = bench.play()
    assert notes.found == 2
    assert told(again) == told(rounds)


def test_a_second_process_at_the_same_replay_is_turned_away(bench: ReplayBench) -> None:
    _, notes = bench.play()
    with (
        FileLock(notes.folder / ".lock"),
        pytest.raises(ReplayImpossible, match="running already"),
    ):
        bench.play()


@dataclass
class Vanishing(Chronicle):
    """Its database goes away while the third round reads it."""

    database: Path = Path()
    history: Engine | None = None

    def snapshot(self, engine: Engine, as_of_us: int) -> pl.DataFrame:
        if len(self.trained_on) == 2 and self.history is not None:
            self.history.dispose()
            self.database.unlink()
            raise DataUnavailable("the disk is gone")
        return super().snapshot(engine, as_of_us)


@dataclass
class Interrupting(Chronicle):
    """Somebody presses Ctrl-C while the third round trains."""

    def check_quality(self, snapshot: pl.DataFrame, as_of_us: int) -> Verdict:
        if len(self.trained_on) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super().check_quality(snapshot, as_of_us)


def test_a_database_that_goes_away_is_no_result_of_a_round(
    bench: ReplayBench, history: Engine, tmp_path: Path
) -> None:
    database = tmp_path / "history.db"
    with pytest.raises(DataUnavailable):
        bench.play(use_case=Vanishing(database=database, history=history))
    [folder] = bench.asked.work.iterdir()
    assert sorted(path.name for path in (folder / ROUNDS).glob("*.json")) == [
        "0001.json",
        "0002.json",
    ]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Who is started in the background by a shell ignores Ctrl-C, and so would this process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_keeps_the_rounds_that_are_finished(bench: ReplayBench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.play(use_case=Interrupting())
    _, notes = bench.play(use_case=Chronicle())
    assert (notes.found, notes.played) == (2, [3, 4, 5])


def test_a_replay_killed_again_and_again_ends_like_one_left_alone(tmp_path: Path) -> None:
    database, work = tmp_path / "history.db", tmp_path / "work"
    engine = connect(f"sqlite:///{database}")
    migrate(engine)
    engine.dispose()
    for kills, wait in enumerate((0.0, 0.1), start=1):
        process = _start(database, work)
        _wait_for_rounds(process, work, 3 * kills)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert _start(database, work).wait() == 0
    undisturbed = tmp_path / "undisturbed"
    assert _start(database, undisturbed).wait() == 0
    assert _folders(work) == _folders(undisturbed)
    assert [_read(path) for path in _files(work)] == [_read(path) for path in _files(undisturbed)]
    shutil.rmtree(work)


def _start(database: Path, work: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, str(PROCESS), str(database), str(work)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def _wait_for_rounds(process: "subprocess.Popen[bytes]", work: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(_files(work)) < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _files(work: Path) -> list[Path]:
    return sorted(work.glob(f"*/{ROUNDS}/*.json"))


def _folders(work: Path) -> list[str]:
    return sorted(path.name for path in work.glob(f"*/{CANDIDATES}/*"))


def _read(path: Path) -> Any:

    return _stripped(json.loads(path.read_bytes()))
