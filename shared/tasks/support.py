"""The effective sample size: rows of the smallest class, rows, or entities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.tasks.task import Task, TaskKind


@dataclass(frozen=True, slots=True)
class Support:
    """A count, and of what."""

    count: int
    what: str


def support_of(
    task: Task, labels: npt.NDArray[Any], entities: npt.NDArray[Any] | None = None
) -> Support:
    """The sample size behind a task's metrics.

    A class without a row counts as 0.
    """
    if task.kind is TaskKind.REGRESSION:
        return Support(len(labels), "rows")
    if task.kind is TaskKind.RANKING:
        count = len(labels) if entities is None else len(np.unique(entities))
        return Support(count, "entities")
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(task.names))
    smallest = int(np.argmin(counts))
    return Support(int(counts[smallest]), f"rows of class {task.names[smallest]}")
