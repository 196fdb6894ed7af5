"""Sums of a merchant, kept while they cannot change: a closed hour seen from a closed hour."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from shared.features.reader import Sums
from shared.features.tiles import TileHours

SumsVector = npt.NDArray[np.int64]
_Key = tuple[str, TileHours]


class SumsCache:
    """Bounded, and safe to use from several threads; the oldest entries go first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, SumsVector] = OrderedDict()
        self._newest_known = 0
        self._generation = 0

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, merchant_id: str, hours: TileHours) -> SumsVector | None:
        """The cached sums, if there are any."""
        return self._entries.get((merchant_id, hours))

    def get(self, merchant_id: str, hours: TileHours, read: Callable[[], Sums]) -> SumsVector:
        """The cached sums, or what `read` returns; an error of `read` passes through."""
        key = (merchant_id, hours)
        found = self._entries.get(key)
        if found is not None:
            return found
        generation = self._generation
        sums = np.array(read(), dtype=np.int64)
        with self._lock:
            # what was read before an invalidation may not outlive it
            if generation == self._generation:
                self._keep(key, sums)
        return sums

    def invalidate(self, known_hour: int) -> None:
        """Something that became known in this hour has only now been stored."""
        with self._lock:
            self._generation += 1
            if known_hour < self._newest_known:
                self._entries.clear()
                self._newest_known = 0

    def _keep(self, key: _Key, sums: SumsVector) -> None:
        self._entries[key] = sums
        self._newest_known = max(self._newest_known, key[1].rows_known)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
