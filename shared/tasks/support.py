"""How much there is to judge by: rows of the smallest class, rows, or entities."""

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
    """What a task's measures rest on.

    A class without a single row counts as 0: nothing is known of it.
    """
    if task.kind is TaskKind.REGRESSION:
        return Support(len(labels), "rows")
    if task.kind is TaskKind.RANKING:
        count = len(labels) if entities is None else len(np.unique(entities))
        return Support(count, "entities")
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=len(task.names))
    smallest = int(np.argmin(counts))
    return Support(int(counts[smallest]), f"rows of class {task.names[smallest]}")
