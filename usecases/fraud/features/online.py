"""The features of one transaction at the instant it comes in, from stored and pending rows."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine

from native.compiled import without_linear_algebra
from native.precompile import call_precompiled
from shared.features.fetch import fetch_from
from shared.features.live import LiveHistory, Past
from shared.features.pending import PendingRows
from shared.features.reader import HistoryReader
from shared.features.stored_rows import watch
from shared.features.tiles import NO_SUMS, SumsCache, TileWindows
from shared.tables.reads import ReadGuard, standing_of
from shared.transaction import Label, Transaction
from shared.usecase.serving import (
    DEFAULT_BOUNDS,
    FloatMatrix,
    FloatVector,
    Reservation,
    WindowBounds,
)

from . import stored
from .catalogue import FEATURE_SET, LABEL_DELAY_US, MAX_PRIOR_ROWS
from .encoding import PRIOR_COLUMNS
from .pasts import Pasts
from .postgres_windows import postgres_windows
from .rows import new_block, newest_of
from .window import ROOM_TO_COME, UserWindow
from .windows import RecentWindows

_MAX_PENDING = 200_000
_MAX_MERCHANTS = 50_000
# rows of a batch handled together, and windows read before the first is released
_TOGETHER = 64


class FraudFeatureSource:
    """Implements `shared.usecase.serving.FeatureSource`; safe to use from several threads.

    Attributes:
        live: the history behind it; `live.guard.fallbacks` counts reads that the database did
            not answer, whose rows were scored on what is in memory.
        windows: what is kept of active users; None where other writers cannot be noticed
            (SQLite in memory) or bounds are 0: every row then reads the database.
    """

    def __init__(
        self,
        engine: Engine,
        label_delay_us: int = LABEL_DELAY_US,
        bounds: WindowBounds = DEFAULT_BOUNDS,
        max_prior_rows: int = MAX_PRIOR_ROWS,
    ) -> None:
        fetch, tiles = fetch_from(engine), TileWindows.behind(label_delay_us)
        reader = HistoryReader(fetch, PRIOR_COLUMNS, tiles)
        self.live = LiveHistory(
            reader,
            PendingRows(PRIOR_COLUMNS, _MAX_PENDING),
            SumsCache(_MAX_MERCHANTS),
            ReadGuard(standing=standing_of(engine)),
            max_prior_rows,
        )
        self.pasts = Pasts(
            self.live,
            stored.stored_windows(engine, reader.statements, max_prior_rows),
            postgres_windows(fetch, tiles, max_prior_rows),
        )
        watched = watch(engine) if bounds.users and bounds.rows else None
        self.windows: RecentWindows | None = None
        if watched is not None:
            self.windows = RecentWindows(self.live, self.pasts, watched, bounds=bounds)

    def vector(self, transaction: Transaction) -> FloatVector:
        sums = self.live.sums(transaction)
        if self.windows is not None:
            found = self.windows.vector(transaction, sums)
            if found is not None:
                return found
        return self.pasts.features_alone(transaction, sums)

    def reserve(self, transactions: Sequence[Transaction]) -> Reservation:
        matrix = np.empty((len(transactions), len(FEATURE_SET.names)), dtype=np.float32)
        try:
            for begin in range(0, len(transactions), _TOGETHER):
                end = begin + _TOGETHER
                self._fill(transactions[begin:end], matrix[begin:end])
        except BaseException:
            self._withdraw([row.transaction_id for row in transactions])
            raise
        return Reservation(matrix, transactions, self._withdraw)

    def _fill(self, transactions: Sequence[Transaction], matrix: FloatMatrix) -> None:
        left = set(range(len(transactions)))
        if self.windows is not None:
            left = self.windows.fill(transactions, matrix)
        if not left:
            self.live.remember(transactions)
            return
        for line, transaction in enumerate(transactions):
            if line not in left:
                self.live.remember((transaction,))
                continue
            matrix[line] = self.vector(transaction)
            self.remember(transaction)

    def remember(self, transaction: Transaction) -> None:
        self.live.remember((transaction,))
        if self.windows is not None:
            self.windows.remember(transaction)

    def _withdraw(self, transaction_ids: Sequence[str]) -> None:
        """Rows that were never recorded are in no later row's past."""
        users = self.live.withdraw(transaction_ids)
        if self.windows is not None:
            self.windows.drop(users)

    def forget(self, transaction_ids: Sequence[str]) -> None:
        if self.windows is not None:
            # First: while these rows are known as own rows, windows need not be searched for them.
            self.windows.look()
        self.live.forget(transaction_ids)

    def learned(self, labels: Sequence[Label]) -> None:
        self.live.learned(labels)


def warm_up() -> None:
    """Have the compiled functions ready before the first request needs them."""
    call_precompiled(load_compiled)


def load_compiled() -> None:
    """Call each compiled function that scoring calls, with what it is called with."""
    transaction = Transaction(
        transaction_id="",
        user_id="nobody",
        event_time_us=0,
        ingested_at_us=0,
        amount=0.0,
        currency="",
        merchant_id="",
        transaction_type="",
    )
    with without_linear_algebra():
        window = UserWindow.of(Past([], None), transaction, 1)
        window.features(transaction, NO_SUMS)
        for _ in range(ROOM_TO_COME + 1):
            window.give_room()
        newest_of(new_block(2, 2), 1, 1, 2)
        stored.warm_up(transaction)
