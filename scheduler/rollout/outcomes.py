"""Outcomes of the arms of a canary: the mean loss of rows whose truth has become known.

Only rows of the current stage are compared, in which the split is constant: whatever changes with
time changes both arms alike. Which rows have labels by now must not depend on the arm; where an
answer decides whether the truth is ever seen, the comparison is that of rows whose truth was seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Engine, Row, select

from learning.measures import loss_metric, row_losses
from scheduler.rollout.look import ArmOutcomes, MeanEstimate, Outcomes
from shared.clock import to_micros
from shared.contracts.rollouts import Mode, RolloutView
from shared.tables.engine import database_errors
from shared.tasks import Task, TaskKind
from shared.transaction import OUR_RULES
from shared.usecase.rows import OutcomeRows

MOST_ROWS = 100_000
READ_EVERY_US = 60_000_000

Floats = npt.NDArray[np.float64]
ReadRows = Callable[[], OutcomeRows]


class OutcomeSource(Protocol):
    """The driver's source of outcomes."""

    def read(self, shown: RolloutView, now_us: int) -> Outcomes | None:
        """The outcomes of the current stage; None: nothing is compared by them.

        Raises:
            DataUnavailable: the database cannot be read.
        """
        ...


class NoOutcomes:
    """A source without outcomes: nothing is compared by them."""

    def read(self, shown: RolloutView, now_us: int) -> Outcomes | None:  # noqa: ARG002
        return None


@dataclass
class ServedOutcomes:
    """Outcomes of served rows in the database, read at most once a minute.

    Attributes:
        rows_of: the use case's rows; asked for at the first canary only.
    """

    engine: Engine
    rows_of: ReadRows
    _rows: OutcomeRows | None = None
    _known: tuple[str, int, Outcomes] | None = field(default=None, repr=False)

    def read(self, shown: RolloutView, now_us: int) -> Outcomes | None:
        if shown.mode is not Mode.CANARY:
            return None  # in shadow mode the champion alone answers
        stage = f"{shown.version} {shown.stage_since}"
        if self._known and self._known[0] == stage and now_us - self._known[1] < READ_EVERY_US:
            return self._known[2]
        self._rows = self._rows or self.rows_of()
        found = self._outcomes(self._rows, shown, now_us)
        self._known = (stage, now_us, found)
        return found

    def _outcomes(self, rows: OutcomeRows, shown: RolloutView, now_us: int) -> Outcomes:
        metric = loss_metric(rows.metric, rows.task)
        versions = (shown.version, shown.champion)
        since_us = to_micros(datetime.fromisoformat(shown.stage_since))
        labelled = _labelled(self.engine, rows, versions, since_us, now_us)
        candidate, champion = (
            arm_outcomes([row for row in labelled if row.version == version], rows.task, metric)
            for version in versions
        )
        return Outcomes(metric, candidate, champion)


def arm_outcomes(labelled: list[Any], task: Task, metric: str) -> ArmOutcomes:
    """The mean loss of an arm's rows, whose error knows that rows of an entity are similar."""
    usable = [row for row in labelled if _prediction(row, task) is not None]
    if not usable:
        return ArmOutcomes(0, 0, None)
    predictions = np.array([_prediction(row, task) for row in usable], dtype=np.float64)
    losses = row_losses(metric, predictions, _truth(usable, task))
    known = np.isfinite(losses)
    entities = [str(row.entity) for row, one in zip(usable, known, strict=True) if one]
    if not entities:
        return ArmOutcomes(0, 0, None)
    codes = np.unique(np.array(entities), return_inverse=True)[1].reshape(-1)
    groups = int(codes.max()) + 1
    return ArmOutcomes(len(entities), groups, clustered_mean(losses[known], codes))


def clustered_mean(losses: Floats, codes: npt.NDArray[np.intp]) -> MeanEstimate:
    """A mean over rows as a ratio of sums over groups, never surer than of independent rows."""
    count, groups = len(losses), int(codes.max()) + 1
    mean = float(losses.mean())
    alone = float(losses.var()) / max(count - 1, 1)
    between = 0.0
    if groups > 1:
        residuals = np.bincount(codes, weights=losses - mean)
        between = float(residuals @ residuals) / count**2 * groups / (groups - 1)
    return MeanEstimate(mean, max(alone, between) ** 0.5)


def _labelled(
    engine: Engine, rows: OutcomeRows, versions: tuple[str, str], since_us: int, now_us: int
) -> list[Row[Any]]:
    """The newest rows of both arms that were answered in the stage and have a label."""
    c = rows.table.c
    decided = c.decided_at if "decided_at" in c else c.ingested_at
    # without an entity each row is independent: grouped by its id, the first column
    entity: ColumnElement[Any] = c[rows.entity] if rows.entity else next(iter(c))
    query = (
        select(
            c.model_version.label("version"), entity.label("entity"), c.score,
            c.component_scores.label("outputs"), c.label.label("truth"),
        )
        .where(
            decided >= since_us,
            c.model_version.in_(versions),
            c.label.is_not(None),
            c.label_known_at <= now_us,
            c.label_source.is_distinct_from(OUR_RULES),
        )
        .order_by(decided.desc())
        .limit(MOST_ROWS)
    )  # fmt: skip
    with database_errors("read the outcomes of a rollout"), engine.connect() as connection:
        return list(connection.execute(query))


def _prediction(row: Any, task: Task) -> Any:
    """The answer in the form that measures take; None if it was not recorded."""
    if task.width == 1:
        return row.score
    outputs = row.outputs or {}
    found = [outputs.get(name) for name in task.outputs]
    return None if None in found else found


def _truth(rows: list[Any], task: Task) -> Floats:
    if task.kind is not TaskKind.RANKING:
        return np.array([row.truth for row in rows], dtype=np.float64)
    raw = b"".join(row.truth for row in rows)
    return np.frombuffer(raw, dtype="<f4").reshape(len(rows), task.width).astype(np.float64)
