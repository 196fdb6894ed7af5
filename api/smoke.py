"""`python -m api.smoke BUNDLE BYTES SECONDS PARENT_PID`: load and score a bundle in isolation.

Run in a child process with limits on memory, processor time and files. The bytes have
been authenticated by then; this is for models that are broken, endless or too large.
"""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.bundle.archive import unpack
from shared.errors import UnderstudyError
from shared.scoring.model import Model
from shared.scoring.session import load_model
from shared.system.child_processes import end_with_parent

_SEED = 20_240_131
ALLOW_PICKLE = "allow-pickle"


def smoke_rows(features: int) -> npt.NDArray[np.float32]:
    """Rows of every sort a request can lead to: nothing known, zeros, small, large."""
    random = np.random.default_rng(_SEED)
    ordinary = random.normal(0, 1, (5, features))
    large = random.normal(0, 1e6, (1, features))
    unknown = np.full((1, features), np.nan)
    return np.vstack([unknown, np.zeros((1, features)), ordinary, large]).astype(np.float32)


def check(model: Model) -> float:
    """Score the smoke rows, together and one by one; returns the seconds of one alone.

    Raises:
        ValueError: says what is wrong with the answer.
    """
    rows = smoke_rows(len(model.manifest.feature_names))
    together = _scores(model, rows)
    wanted = (len(rows), len(model.manifest.components))
    if together.shape != wanted:
        raise ValueError(f"the model answers {together.shape} where {wanted} is due")
    if not np.isfinite(together).all():
        raise ValueError("the model answers NaN or infinity")
    seconds, parts = [], []
    for row in rows:
        began = time.perf_counter()
        parts.append(_scores(model, row.reshape(1, -1)))
        seconds.append(time.perf_counter() - began)
    alone = np.vstack(parts)
    if not np.allclose(together, alone, rtol=1e-4, atol=1e-5):
        raise ValueError("the model scores a row differently in a batch than alone")
    return statistics.median(seconds)


def _scores(model: Model, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    try:
        return model.score(rows)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"the model fails on ordinary rows: {error}") from error


def main(arguments: list[str]) -> int:
    path, memory_bytes, cpu_seconds, parent_pid, *flags = arguments
    _limit(int(memory_bytes), int(cpu_seconds))
    end_with_parent(int(parent_pid))
    try:
        bundle = unpack(Path(path).read_bytes())
        row_seconds = check(load_model(bundle, allow_pickle=ALLOW_PICKLE in flags))
    except (UnderstudyError, ValueError) as error:
        print(json.dumps({"problem": str(error)}))  # noqa: T201 - the parent reads it
        return 1
    except MemoryError:
        print(json.dumps({"problem": "the model needs too much memory"}))  # noqa: T201
        return 1
    print(json.dumps({"problem": None, "row_seconds": row_seconds}))  # noqa: T201
    return 0


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The child may not write files.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
