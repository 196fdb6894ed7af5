"""`python -m api.rollout.shadow_child CONFIG`: scores copies of live rows, and answers no request.

It runs at idle priority, within a limit of memory, and is the first process that the kernel kills
when memory is short. It ends when the serving process closes the queue or dies. Each round leaves a
byte in a second pipe; when none comes, the serving process ends it.

A record in the queue is a row's vector and the champion's result. Those of one rollout are all of
one size. A write of at most 4,096 bytes into a pipe is atomic, so a full queue drops whole records
and a reader is never out of step.
"""

import importlib
import os
import resource
import select
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from api.rollout.arm_counts import Counters
from shared.bundle.archive import unpack
from shared.errors import ModelLoadError
from shared.scoring.session import load_model
from shared.system.child_processes import end_with_parent
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, TaskPrediction

_HEAD = struct.Struct("<BBxxf")
_IDLE_SECONDS = 0.25
_FLUSH_SECONDS = 0.5
_ROWS_A_ROUND = 64
_FILE_LIMIT_BYTES = 64 * 1024 * 1024


class ShadowRecordFormat:
    """Packs and unpacks records of a feature set."""

    def __init__(self, features: int) -> None:
        """Raises ModelLoadError when a row is too wide for one atomic write."""
        self.size = _HEAD.size + 4 * features
        if self.size > select.PIPE_BUF:
            widest = (select.PIPE_BUF - _HEAD.size) // 4
            raise ModelLoadError(f"{features} features; a shadow takes at most {widest}")
        head = [("group", "u1"), ("is_alert", "?"), ("", "V2"), ("score", "<f4")]
        self._dtype = np.dtype([*head, ("vector", "<f4", (features,))])

    def pack(self, group: int, prediction: TaskPrediction, vector: FloatVector) -> bytes:
        return _HEAD.pack(group, prediction.is_alert, prediction.score) + vector.tobytes()

    def unpack(self, raw: bytes) -> tuple[list[int], list[TaskPrediction], FloatMatrix]:
        """Groups, the champion's outlooks, and the matrix of all records in `raw`."""
        rows = np.frombuffer(raw, dtype=self._dtype)
        pairs = zip(rows["score"].tolist(), rows["is_alert"].tolist(), strict=True)
        predictions = [TaskPrediction(score, is_alert) for score, is_alert in pairs]
        return rows["group"].tolist(), predictions, np.ascontiguousarray(rows["vector"])


class ChildConfig(BaseModel):
    """All the child knows; no setting and no secret of the service.

    Attributes:
        judge: `module:function`, the use case's outlook.
        columns: of the vector, those that the model reads.
        edges: of the bins in which scores are counted.
    """

    bundle: Path
    sha256: str
    features: int
    columns: list[int]
    judge: str
    rows_fd: int
    beat_fd: int
    parent_pid: int
    memory_bytes: int
    allow_pickle: bool
    folder: Path
    stage_key: str
    edges: tuple[float, ...]


class ShadowScorer:
    """The model and what it has scored so far."""

    def __init__(self, config: ChildConfig) -> None:
        bundle = unpack(config.bundle.read_bytes())
        if bundle.sha256 != config.sha256:
            raise SystemExit("the bundle is not the one that was verified")
        self._model = load_model(bundle, allow_pickle=config.allow_pickle)
        manifest = bundle.manifest
        self._served = ServedModel(manifest.version, manifest.components, manifest.thresholds)
        self._columns = np.array(config.columns, dtype=np.intp)
        module, _, name = config.judge.partition(":")
        self._judge = getattr(importlib.import_module(module), name)
        self._format = ShadowRecordFormat(config.features)
        self.counters = Counters(config.folder, config.stage_key, config.edges)

    @property
    def bytes_a_round(self) -> int:
        return self._format.size * _ROWS_A_ROUND

    def take(self, raw: bytes) -> None:
        """Score records and count both arms over the same rows."""
        groups, predictions, matrix = self._format.unpack(raw)
        champion, candidate = self.counters.arms.champion, self.counters.arms.candidate
        scores = self._score(np.ascontiguousarray(matrix[:, self._columns]))
        for group, theirs, row in zip(groups, predictions, scores, strict=True):
            champion.scored(group, theirs.score, is_alert=theirs.is_alert)
            if row is None:
                candidate.errors += 1
                continue
            mine = self._judge(row, self._served)
            candidate.scored(group, mine.score, is_alert=mine.is_alert)

    def _score(self, matrix: FloatMatrix) -> list[FloatVector | None]:
        """One by one, as they would be served: one bad row spoils no other."""
        return [self._score_row(matrix[at : at + 1]) for at in range(len(matrix))]

    def _score_row(self, row: FloatMatrix) -> FloatVector | None:
        try:
            scores: FloatVector = self._model.score(row)[0]
        except Exception:  # noqa: BLE001 - a row that fails is what this is here to find
            return None
        return scores if np.isfinite(scores).all() else None


def main(arguments: list[str]) -> int:
    config = ChildConfig.model_validate_json(arguments[0])
    _confine(config.memory_bytes)
    # A model that never returns cannot notice the closed queue.
    end_with_parent(config.parent_pid)
    shadow = ShadowScorer(config)
    # After the imports: at this low priority they would take minutes on a busy core.
    _step_aside()
    _serve(config, shadow)
    return 0


def _serve(config: ChildConfig, shadow: ShadowScorer) -> None:
    flush_at = 0.0
    while True:
        with suppress(BlockingIOError):
            os.write(config.beat_fd, b".")
        readable, _, _ = select.select([config.rows_fd], [], [], _IDLE_SECONDS)
        if readable:
            raw = os.read(config.rows_fd, shadow.bytes_a_round)
            if not raw:
                break
            shadow.take(raw)
        if time.monotonic() >= flush_at:
            shadow.counters.flush()
            flush_at = time.monotonic() + _FLUSH_SECONDS
    shadow.counters.flush()


def _confine(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT_BYTES, _FILE_LIMIT_BYTES))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _step_aside() -> None:
    """Run only while the processor is idle: any other process that wakes up takes it at once."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        os.nice(19)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
