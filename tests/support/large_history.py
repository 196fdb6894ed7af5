"""A history in files, read by the steps of a run; for tests of where their tasks run."""

import pickle
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

import usecases
from learning.dataset.large import LargeHistory, Workplace
from shared.execution.executor import Watch
from shared.importing.lake import Lake
from shared.sizes import MIB
from shared.verdicts import Verdict


@dataclass(frozen=True)
class Found:
    """What the steps found: the snapshot's rows, and verdict and features of them."""

    rows: bytes
    verdict: Verdict
    features: bytes


def read_large_history(
    engine: Engine, now_us: int, folder: Path, executing: AbstractContextManager[None]
) -> Found:
    """From snapshot to features, in shards of 700 rows; an empty lake has the rows joined by id."""
    fraud = usecases.load_learning("fraud")
    assert isinstance(fraud, LargeHistory)
    folder.mkdir()
    place = Workplace(folder, 700, 128 * MIB, lake=Lake.at(str(folder / "lake")))
    with executing:
        snapshot = fraud.scan_snapshot(engine, now_us, place)
        verdict = fraud.scan_quality(snapshot, now_us, place)
        features = fraud.scan_features(snapshot, place)
    return Found(snapshot.lazy().collect().serialize(), verdict, features.tobytes())


@dataclass
class DistrustfulTasks:
    """Every task twice, the last item first, and only what can be sent to another process.

    Attributes:
        largest_result_bytes: what a task may send back: scores of its rows, never the rows.
    """

    largest_result_bytes: int = 100_000
    maps: list[str] = field(default_factory=list)

    def map(
        self,
        function: Callable[[Any, Any], Any],
        common: Any,
        items: Sequence[Any],
        *,
        names: Sequence[str],
        watch: Watch,
    ) -> list[Any]:
        sent = [pickle.dumps((function, common, item)) for item in items]
        # a frame of rows does not go through the driver
        assert max(map(len, sent)) < 100_000
        results: list[Any] = []
        for one in reversed(sent):
            watch(len(results))
            for _ in range(2):
                task, shared, item = pickle.loads(one)
                result = pickle.dumps(task(shared, item))
            assert len(result) < self.largest_result_bytes
            results.append(pickle.loads(result))
        self.maps.append(names[0])
        return results[::-1]
