"""Order among rows: locks of users and ids, the ingestion clock, and reservations of rows.

Rows of one user are scored one after the other, in ingestion order.

A row's features count every row of its user that was ingested before it. If two of them were scored
at once in a thread pool, the later one could miss the earlier one, and training would compute
another vector than the one that was served.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from pydantic import BaseModel

from api.scoring.stages import Accepted
from api.workers.peers.ownership import Claims
from shared.clock import MICROS_PER_SECOND, Clock
from shared.transaction import Transaction
from shared.usecase.rows import RowFields
from shared.usecase.serving import FeatureSource, FloatMatrix, Reservation

# Lock stripes; a row takes one for its user and one for its id.
_STRIPES = 1_024
# Tolerance for readings of two threads and for small clock corrections.
_SET_BACK_US = MICROS_PER_SECOND


class MonotonicClock:
    """The present, which follows the clock, and ingestion times, which only ever grow.

    The two are the same number unless the clock was set back: then events happen at the time
    that the clock shows, and ingestion times go on from the last one, a microsecond at a time,
    until the clock has reached it. Their order is the order of scoring whatever the clock does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_us = 0
        self._last_stamp_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """The present: never the same instant twice, earlier only after the clock was set back."""
        with self._lock:
            return self._now_us()

    def ingestions(self, count: int) -> Iterable[tuple[int, int]]:
        """The present and the ingestion time of each row of some that are accepted together now.

        The present dates events that name no instant; the ingestion time is later than all before
        it. The clock is read once; each further row is a microsecond later.
        """
        with self._lock:
            first_us = self._now_us()
            first_stamp_us = max(self._last_stamp_us + 1, first_us)
            self._last_us = first_us + count - 1
            self._last_stamp_us = first_stamp_us + count - 1
        return zip(
            range(first_us, first_us + count),
            range(first_stamp_us, first_stamp_us + count),
            strict=True,
        )

    def ahead_us(self) -> int:
        """The lead of the last ingestion time over the clock; 0 unless the clock was set back."""
        with self._lock:
            return max(0, self._last_stamp_us - self._clock.now_us())

    def _now_us(self) -> int:
        now_us, last_us = self._clock.now_us(), self._last_us
        if last_us - _SET_BACK_US < now_us <= last_us:
            now_us = last_us + 1
        self._last_us = now_us
        return now_us


def lock_keys(requests: Iterable[BaseModel], fields: RowFields) -> Iterator[str]:
    """The lock keys of rows: their users, and their ids, which two users may have sent.

    A generated user or id is unique to this row and needs no lock.
    """
    for request in requests:
        for name in (fields.entity, fields.row_id):
            key = getattr(request, name, None) if name else None
            if key is not None:
                yield key


class UserLocks(Protocol):
    """Prevents rows of one user, or of one id, from being scored concurrently."""

    def of(self, keys: Iterable[str]) -> AbstractContextManager[None]:
        """Held while rows with these keys are accepted, scored and recorded."""
        ...


class NoLocks:
    """Locks without effect, for scoring on one thread."""

    def __init__(self) -> None:
        self._nothing = nullcontext()

    def of(self, keys: Iterable[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        return self._nothing


class StripedLocks:
    """A fixed number of locks; a key always falls to the same one."""

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def of(self, keys: Iterable[str]) -> Iterator[None]:
        # Sorted: two batches with common users cannot deadlock.
        stripes = sorted({hash(key) % _STRIPES for key in keys})
        with ExitStack() as stack:
            for stripe in stripes:
                stack.enter_context(self._locks[stripe])
            yield


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
