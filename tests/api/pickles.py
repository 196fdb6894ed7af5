"""Models that are Python objects, pickled by value as a use case would do it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from tests.api.bundles import Signer

Score = Callable[[Any], Any]


def half(extra: float) -> Score:
    """scores = half the first feature, and something more; unknown features count as zero."""

    def score(matrix: Any) -> Any:
        first = np.nan_to_num(matrix[:, :1]) / 2 + extra
        return np.hstack([first, first])

    return score


def slow(gate: Path, inside: Path) -> Score:
    """SlowModel: some amounts are scored once a file is there, and not before."""

    def score(matrix: Any) -> Any:
        while (matrix[:, 0] > 100).any() and (matrix[:, 0] < 1_000).all() and not gate.exists():
            inside.touch()
            time.sleep(0.01)
        return half(0.0)(matrix)

    return score


def sleepy(seconds: float) -> Score:
    """SlowModel: takes so long for each row, and none of the processor's time."""

    def score(matrix: Any) -> Any:
        time.sleep(seconds * len(matrix))
        return half(0.0)(matrix)

    return score


class Footprint:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


def pickled(model: object) -> bytes:
    """Nothing of this module is needed to load it."""
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    try:
        return bytes(cloudpickle.dumps(model))
    finally:
        cloudpickle.unregister_pickle_by_value(here)


def bundle(signer: Signer, version: str, model: object) -> bytes:
    return signer.bundle(version, {"model.pkl": pickled(model)}, flavour="cloudpickle")
