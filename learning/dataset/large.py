"""Interface of use cases whose history may exceed memory: the same steps over files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Engine

from learning.dataset.scanned import ScannedRows
from learning.dataset.shuffle import Shuffler
from shared.errors import DataUnavailable
from shared.execution.executor import Common, Item, Result, executor_of_files
from shared.importing.lake import Lake
from shared.sizes import MIB
from shared.usecase.learning import Split
from shared.usecase.serving import FloatMatrix
from shared.verdicts import Verdict

ROWS_PER_SHARD = 400_000
LEAST_SHARDS = 2
SHUFFLE_BYTES = 768 * MIB
UNFINISHED = ".unfinished-"
"""Folders that begin so are deleted a day after the process that wrote them has died."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The folder of a run's snapshot, and the size of its shards.

    Attributes:
        lake: further rows of the same history; None: there are none.
        interrupted: called between two shards; raises when the run has to stop.
    """

    folder: Path
    rows_per_shard: int = ROWS_PER_SHARD
    shuffle_bytes: int = SHUFFLE_BYTES
    lake: Lake | None = None
    interrupted: Callable[[], None] = lambda: None

    def shards(self, rows: int) -> int:
        return max(LEAST_SHARDS, -(-rows // self.rows_per_shard))

    def new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def map(
        self,
        function: Callable[[Common, Item], Result],
        common: Common,
        items: Sequence[Item],
        names: Sequence[str],
    ) -> list[Result]:
        """Tasks over files of this folder, by the executor of the run; `Executor.map`.

        A task may be begun again elsewhere when its process dies: it deletes no file that it reads.

        Raises:
            TaskFailed: names the item and says why.
        """
        there = _AtWork(self.folder, function, common)
        return executor_of_files().map(
            _at_work, there, items, names=names, watch=lambda _finished: self.interrupted()
        )

    @property
    def shuffler(self) -> Shuffler:
        return Shuffler(self.new_folder("spilled"), self.shuffle_bytes)


@dataclass(frozen=True, slots=True)
class _AtWork:
    """The state that the tasks of a folder share."""

    folder: Path
    function: Callable[[Any, Any], Any]
    common: Any


def _at_work(there: _AtWork, item: Any) -> Any:
    """One task; refused where the folder is not: an empty folder would be an empty shard."""
    if not there.folder.is_dir():
        raise DataUnavailable(
            f"{there.folder}: this machine does not have it; share WORK_DIR with every node of the "
            "cluster, or switch RAY_SHARES_WORK_DIR off"
        )
    return there.function(there.common, item)


@dataclass(frozen=True, slots=True)
class LargeRuns:
    """The bound above which a history is read from files, and the folder of those files.

    Attributes:
        lake: with one, every history is read from files.
        folder: of the step cache, which deletes what a killed run leaves.
    """

    rows_in_memory: int
    folder: Path
    rows_per_shard: int = ROWS_PER_SHARD
    lake: Lake | None = None

    @contextmanager
    def workplace(self, interrupted: Callable[[], None]) -> Iterator[Workplace]:
        root = self.folder / "snapshots"
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=UNFINISHED, dir=root) as folder:
            yield Workplace(
                Path(folder), self.rows_per_shard, lake=self.lake, interrupted=interrupted
            )


@dataclass(frozen=True, slots=True)
class ScannedQuarantine:
    """`Quarantine` of rows in a file."""

    kept: ScannedRows
    faults: Mapping[str, int]
    rows: int


@runtime_checkable
class LargeHistory(Protocol):
    """The steps from snapshot to split over files, each with the result of the one in memory."""

    def stored_rows(self, engine: Engine) -> int:
        """Count of the rows that a snapshot may have at most, read cheaply.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...

    def scan_snapshot(self, engine: Engine, as_of_us: int, place: Workplace) -> ScannedRows:
        """`LearningUseCase.snapshot` as a file.

        Raises:
            DataUnavailable: the database cannot be read.
            ShuffleFailed: the disk is full.
        """
        ...

    def scan_quarantine(
        self, snapshot: ScannedRows, as_of_us: int, place: Workplace
    ) -> ScannedQuarantine: ...

    def scan_quality(self, snapshot: ScannedRows, as_of_us: int, place: Workplace) -> Verdict:
        """`LearningUseCase.check_quality`; each check is a task."""
        ...

    def scan_features(self, snapshot: ScannedRows, place: Workplace) -> FloatMatrix:
        """`LearningUseCase.features` as a mapped file, computed by shards of entities."""
        ...

    def scan_split(self, snapshot: ScannedRows, as_of_us: int) -> Split: ...

    def scan_feature_quality(
        self,
        engine: Engine,
        snapshot: ScannedRows,
        matrix: FloatMatrix,
        split: Split,
        as_of_us: int,
    ) -> Verdict: ...
