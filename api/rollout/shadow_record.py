"""The record sent to the shadow process: a row's vector and the champion's result.

Records of one rollout are all of one size. A write of at most 4,096 bytes into a pipe is
atomic, so a full queue drops whole records and a reader is never out of step.
"""

import struct
from select import PIPE_BUF

import numpy as np

from shared.errors import ModelLoadError
from shared.usecase.serving import FloatMatrix, FloatVector, TaskPrediction

_HEAD = struct.Struct("<BBxxf")


class ShadowRecordFormat:
    """Packs and unpacks records of a feature set."""

    def __init__(self, features: int) -> None:
        """Raises ModelLoadError when a row is too wide for one atomic write."""
        self.size = _HEAD.size + 4 * features
        if self.size > PIPE_BUF:
            widest = (PIPE_BUF - _HEAD.size) // 4
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
