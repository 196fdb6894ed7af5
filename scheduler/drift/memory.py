"""What earlier runs left behind; light, since the scheduler itself reads it for its figures."""

from dataclasses import dataclass
from typing import Any

ALARM = "alarm"
"""The key in a check's metrics that says whether there is one."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check that came to a result; `found` is the JSON of its finding."""

    finished_at: str
    found: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Retrainings:
    """What the stored runs say of retraining.

    Attributes:
        unfinished: number of the run that waits or is in progress, whoever asked for it.
        by_drift: number of the newest run that was asked for because of drift.
        by_drift_us: when that was.
    """

    unfinished: int | None = None
    by_drift: int | None = None
    by_drift_us: int | None = None
