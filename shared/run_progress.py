"""Progress of a training run: its step, since when, how long that usually takes, its end.

A step usually takes what it took in the newest run that trained, on this machine with these rows.
Before there is one, figures of an idle machine with two cores stand in, for the history that the
simulator writes, times the rows of the snapshot; a machine that is slower shows itself in the
steps that are over, and what is still to come is expected to take as many times longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from shared.clock import MICROS_PER_SECOND, to_micros, to_the_second
from shared.tables.job_schedules import RETRAINING
from shared.tables.runs import RunStatus
from shared.tables.schema import model_training_runs as table

TYPICAL_SECONDS: Mapping[str, float] = {
    "snapshot": 3.0,
    "data_quality": 0.2,
    "features": 3.0,
    "feature_quality": 0.4,
    "train": 40.0,
    "evaluate": 2.0,
    "latency": 1.0,
    "push": 1.0,
    "report": 3.0,
}
TYPICAL_ROWS = 240_000
_BY_ROWS = frozenset({"snapshot", "data_quality", "features", "feature_quality"})
_BY_DRAWN_ROWS = frozenset({"train", "evaluate"})
_MOST_TIMES_DRAWN = 6.5
"""A training draws rows: with the root of the history's size, up to ten million."""

_SNAPSHOT, _TRAIN, _CHAMPION, _NO_CHAMPION = "snapshot", "train", "champion", "none_yet"
_RUNNING = "running"
# shorter steps do not measure the speed of the machine
_SHORTEST_SECONDS = 2.0
_RUNS_LOOKED_AT = 20

Steps = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class UsualSeconds:
    """Seconds of each step, in order; `is_measured`: by the newest run that trained."""

    steps: Mapping[str, float]
    is_measured: bool

    def of_rows(self, rows: int) -> "UsualSeconds":
        """The same for a snapshot of this many rows, where no run has been measured."""
        times = rows / TYPICAL_ROWS
        if self.is_measured or times <= 1.0:
            return self
        factors = dict.fromkeys(_BY_ROWS, times)
        factors |= dict.fromkeys(_BY_DRAWN_ROWS, min(times**0.5, _MOST_TIMES_DRAWN))
        larger = {step: took * factors.get(step, 1.0) for step, took in self.steps.items()}
        return UsualSeconds(larger, is_measured=False)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run in progress.

    Attributes:
        usual_seconds: what its step usually takes; None: not known.
        is_measured: whether that is what it took last time here.
        ends_at_us: when the run is expected to be over.
        is_first: whether there is no model yet.
    """

    run_id: int
    step: str
    since_us: int
    usual_seconds: float | None
    is_measured: bool
    ends_at_us: int
    is_first: bool

    def sentence(self, now_us: int) -> str:
        """All of it in one sentence."""
        so_far = (now_us - self.since_us) / MICROS_PER_SECOND
        usual = ""
        if self.usual_seconds is not None:
            when = "last time" if self.is_measured else "typically"
            usual = f", {when} {self.usual_seconds:.0f} s"
        what = "the first model" if self.is_first else "its end"
        since, until = to_the_second(self.since_us), to_the_second(self.ends_at_us)
        return (
            f"run {self.run_id}: {self.step.replace('_', ' ')} since {since} "
            f"({so_far:.0f} s{usual}); {what} is expected about {until}"
        )


def running_now(connection: Connection, now_us: int) -> RunProgress | None:
    """The training run in progress; None: there is none, or it has not begun a step."""
    wanted = (table.c.jobname == RETRAINING) & (table.c.status == RunStatus.RUNNING.value)
    row = connection.execute(select(table.c.runid, table.c.steps).where(wanted).limit(1)).first()
    if row is None:
        return None
    return progress_of(row.runid, _dicts(row.steps), usual_seconds(connection), now_us)


def usual_seconds(connection: Connection) -> UsualSeconds:
    """Durations of the newest run that trained, else typical ones."""
    query = (
        select(table.c.steps)
        .where(table.c.jobname == RETRAINING, table.c.finishedat.is_not(None))
        .order_by(table.c.runid.desc())
        .limit(_RUNS_LOOKED_AT)
    )
    for steps in connection.scalars(query):
        known = {
            str(one.get("step")): float(one["duration_seconds"])
            for one in _dicts(steps)
            if isinstance(one.get("duration_seconds"), int | float)
        }
        if _TRAIN in known:
            return UsualSeconds(known, is_measured=True)
    return UsualSeconds(TYPICAL_SECONDS, is_measured=False)


def progress_of(run_id: int, steps: Steps, usual: UsualSeconds, now_us: int) -> RunProgress | None:
    """The progress of a run by its steps, of which the last may be in progress."""
    since_us = _micros(steps[-1].get("started_at")) if steps else None
    if since_us is None:
        return None
    over = [one for one in steps if one.get("result") != _RUNNING]
    usual = usual.of_rows(_rows(over))
    last = steps[-1]
    name, is_running = str(last.get("step", "")), last.get("result") == _RUNNING
    pace = _pace(over, usual.steps)
    done = {str(one.get("step")) for one in over}
    known = usual.steps.get(name) if is_running else None
    left = sum(seconds for step, seconds in usual.steps.items() if step not in {*done, name})
    so_far = (now_us - since_us) / MICROS_PER_SECOND if is_running else 0.0
    rest = max(0.0, (known or 0.0) * pace - so_far) + left * pace
    return RunProgress(
        run_id=run_id,
        step=name,
        since_us=since_us,
        usual_seconds=known,
        is_measured=usual.is_measured,
        ends_at_us=now_us + round(rest * MICROS_PER_SECOND),
        is_first=any(
            one.get("step") == _CHAMPION and one.get("result") == _NO_CHAMPION for one in over
        ),
    )


def _rows(over: Steps) -> int:
    """Rows of the snapshot; 0 as long as it is not there."""
    found = (one.get("rows") for one in over if one.get("step") == _SNAPSHOT)
    return next((rows for rows in found if isinstance(rows, int)), 0)


def _pace(over: Steps, usual: Mapping[str, float]) -> float:
    """The finished steps' time as a multiple of the usual; 1 as long as that is open."""
    pairs = [
        (float(one["duration_seconds"]), usual[str(one.get("step"))])
        for one in over
        if str(one.get("step")) in usual and isinstance(one.get("duration_seconds"), int | float)
    ]
    took, expected = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return max(1.0, took / expected) if expected >= _SHORTEST_SECONDS else 1.0


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _micros(text: Any) -> int | None:
    try:
        return to_micros(datetime.fromisoformat(str(text)))
    except ValueError:
        return None
