"""A reservation of rows: they are history, and their ids are taken, unless it is rolled back."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np

from api.scoring.stages import Accepted
from api.workers.peers.claims import Claims
from shared.transaction import Transaction
from shared.usecase.serving import FeatureSource, FloatMatrix, Reservation


class RowReservation:
    """The vectors of rows that later rows see from now on; undone on leaving, unless committed.

    A quarantined row sees the past and no other row sees it.

    Attributes:
        matrix: a line for each row.
    """

    __slots__ = ("_claims", "_history", "_rows", "_source", "matrix")

    matrix: FloatMatrix

    def __init__(
        self, source: FeatureSource, claims: Claims | None, rows: Sequence[Accepted]
    ) -> None:
        self._source = source
        self._claims = claims
        self._rows = rows
        self._history: Reservation | None = None

    def __enter__(self) -> Self:
        rows = self._rows
        visible = [row.transaction for row in rows if not row.is_quarantined]
        try:
            if len(visible) == len(rows):
                self._history = self._source.reserve(visible)
                self.matrix = self._history.matrix
            else:
                self.matrix = self._with_quarantined(visible)
        except BaseException:
            self._roll_back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rows:
            self._roll_back()

    def commit(self, without: Sequence[Accepted] = ()) -> None:
        """Keep all rows but these, about which nothing was decided."""
        if self._history is not None:
            seen = [row.transaction.transaction_id for row in without if not row.is_quarantined]
            self._history.commit(seen)
        self._release(without)
        self._rows = ()

    def _with_quarantined(self, visible: Sequence[Transaction]) -> FloatMatrix:
        if visible:
            self._history = self._source.reserve(visible)
        vectors = iter(() if self._history is None else self._history.matrix)
        return np.stack(
            [
                self._source.vector(row.transaction) if row.is_quarantined else next(vectors)
                for row in self._rows
            ]
        )

    def _roll_back(self) -> None:
        if self._history is not None:
            self._history.roll_back()
        self._release(self._rows)
        self._rows = ()

    def _release(self, rows: Sequence[Accepted]) -> None:
        """The ids of these rows are free again."""
        if rows and self._claims is not None:
            self._claims.release([row.key for row in rows if row.is_named])
