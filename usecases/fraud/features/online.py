"""The features of one transaction at the instant it comes in, from stored and pending rows."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine

from shared.features.compiled import without_linear_algebra
from shared.features.fetch import fetch_from
from shared.features.guard import ReadGuard
from shared.features.live import LiveHistory, Past
from shared.features.pending import PendingRows
from shared.features.reader import HistoryReader
from shared.features.stored_rows import watch
from shared.features.sums_cache import SumsCache
from shared.features.tiles import SUMS, TileWindows
from shared.transaction import Label, Transaction
from shared.usecase.serving import FloatMatrix, FloatVector
from usecases.fraud.features.catalogue import FEATURE_SET, LABEL_DELAY_US
from usecases.fraud.features.encoding import PRIOR_COLUMNS
from usecases.fraud.features.window import features_alone
from usecases.fraud.features.windows import RecentWindows

_MAX_PENDING = 200_000
_MAX_MERCHANTS = 50_000
# 12 KB each, for sixty rows
MAX_USERS = 3_000


class FraudFeatureSource:
    """Implements `shared.usecase.serving.FeatureSource`; safe to use from several threads.

    Attributes:
        live: the history behind it; `live.guard.fallbacks` counts reads that the database did
            not answer, whose rows were scored on what is in memory.
        windows: what is kept of active users; None where other writers cannot be noticed
            cheaply (PostgreSQL) or `max_users` is 0: every row then reads the database.
    """

    def __init__(
        self, engine: Engine, label_delay_us: int = LABEL_DELAY_US, max_users: int = MAX_USERS
    ) -> None:
        windows = TileWindows.behind(label_delay_us)
        self.live = LiveHistory(
            HistoryReader(fetch_from(engine), PRIOR_COLUMNS, windows),
            PendingRows(PRIOR_COLUMNS, _MAX_PENDING),
            SumsCache(_MAX_MERCHANTS),
            ReadGuard(),
        )
        stored = watch(engine) if max_users else None
        self.windows = None if stored is None else RecentWindows(self.live, stored, max_users)

    def vector(self, transaction: Transaction) -> FloatVector:
        sums = self.live.sums(transaction)
        if self.windows is not None:
            found = self.windows.vector(transaction, sums)
            if found is not None:
                return found
        return features_alone(transaction, self.live.past(transaction), sums)

    def vectors(self, transactions: Sequence[Transaction]) -> FloatMatrix:
        matrix = np.empty((len(transactions), len(FEATURE_SET.names)), dtype=np.float32)
        for row, transaction in zip(matrix, transactions, strict=True):
            row[:] = self.vector(transaction)
            self.remember(transaction)
        return matrix

    def remember(self, transaction: Transaction) -> None:
        self.live.remember(transaction)
        if self.windows is not None:
            self.windows.remember(transaction)

    def withdraw(self, transaction_ids: Sequence[str]) -> None:
        users = self.live.withdraw(transaction_ids)
        if self.windows is not None:
            self.windows.drop(users)

    def forget(self, transaction_ids: Sequence[str]) -> None:
        if self.windows is not None:
            # While they are still known for our own rows, for which windows need not be searched.
            self.windows.look()
        self.live.forget(transaction_ids)

    def learned(self, labels: Sequence[Label]) -> None:
        self.live.learned(labels)


def warm_up() -> None:
    """Compile the kernel, or load it from the cache, before the first request needs it."""
    transaction = Transaction(
        transaction_id="",
        user_id="",
        event_time_us=0,
        ingested_at_us=0,
        amount=0.0,
        currency="",
        merchant_id="",
        transaction_type="",
    )
    with without_linear_algebra():
        features_alone(transaction, Past([], None), np.zeros(len(SUMS), dtype=np.int64))
