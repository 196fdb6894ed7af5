"""Everything a judgement rests on: the held-out rows as both models saw them, and the context."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.statistics.sample import (
    BINARY,
    Bools,
    Floats,
    NotComparable,
    PairedSample,
    group_codes,
    paired_sample,
)
from shared.tasks import Task

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One round's held-out rows, matured labels only, every array one entry a row.

    Attributes:
        champion: its scores; None where it could not be scored.
        customers: the entity of each row; a row with None is its own group.
        days: the day of each row: rows of a day depend on each other and share its alerts.
        slices: name -> mask of rows on which the candidate must do no harm.
        champion_alerts: the rows it alerts on by its own thresholds; None where that is unknown.
        candidate_alerts: the same of the candidate, by the thresholds it would be served with.
        forced_by: the person who wants the candidate judged as if the champion were due.
        round_number: which comparison of this year it is, from 1.
        trained_until_us: end of the later of both training windows.
        held_out_from_us: start of the held-out rows; must lie later.
        baselines: name -> scores of a simple model that the candidate has to beat.
        task: the prediction task; scores and labels have a column for each output where it has
            several.
    """

    champion: Floats | None
    candidate: Floats
    labels: Column
    customers: Column | None = None
    days: Column | None = None
    amounts: Column | None = None
    slices: Mapping[str, Bools] = field(default_factory=dict)
    champion_alerts: Bools | None = None
    candidate_alerts: Bools | None = None
    champion_age_days: float | None = None
    drifted: bool = False
    forced_by: str | None = None
    round_number: int = 1
    trained_until_us: int | None = None
    held_out_from_us: int | None = None
    task: Task = BINARY
    baselines: Mapping[str, Floats] = field(default_factory=dict)

    def sample(self, mask: Bools | None = None) -> PairedSample:
        """The checked rows, or those of one slice.

        Raises:
            NotComparable: says what is wrong with the rows.
        """
        self._require_later_rows()
        if self.champion is None:
            raise NotComparable("the champion has no scores")
        rows = slice(None) if mask is None else _checked(mask, len(self.labels))
        return paired_sample(
            self.champion[rows],
            self.candidate[rows],
            self.labels[rows],
            self._clusters(rows),
            days=None if self.days is None else self.days[rows],
            amounts=None if self.amounts is None else self.amounts[rows],
            task=self.task,
        )

    def _require_later_rows(self) -> None:
        start, end = self.held_out_from_us, self.trained_until_us
        if start is not None and end is not None and start <= end:
            raise NotComparable("the held-out rows begin inside a training window")

    def _clusters(self, rows: Bools | slice) -> Column | None:
        ways = [
            np.arange(len(self.labels))
            if self.customers is None
            else customer_codes(self.customers)
        ]
        if self.days is not None:
            ways.append(group_codes(self.days))
        if len({len(way) for way in ways} | {len(self.labels)}) > 1:
            raise NotComparable("customers, days and labels differ in length")
        return np.stack(ways, axis=1)[rows]


def customer_codes(customers: Column) -> npt.NDArray[np.int64]:
    """Group numbers; a row without a customer is its own group."""
    if customers.dtype != object:
        return group_codes(customers)
    known = np.array([customer is not None for customer in customers], dtype=np.bool_)
    codes = np.empty(len(customers), dtype=np.int64)
    names = group_codes(customers[known].astype(str))
    codes[known] = names
    first_free = int(names.max()) + 1 if len(names) else 0
    codes[~known] = first_free + np.arange(int(np.count_nonzero(~known)))
    return codes


def _checked(mask: Bools, rows: int) -> Bools:
    if mask.dtype != np.bool_ or mask.shape != (rows,):
        raise NotComparable("a slice must have one boolean a row")
    if not mask.any():
        raise NotComparable("no rows to compare on")
    return mask
