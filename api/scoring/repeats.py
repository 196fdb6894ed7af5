"""Rows that were decided before: answered as before, and not counted again."""

from collections.abc import Sequence

from api.journal.entries import Decided
from api.scoring.cache import DecidedCache
from api.scoring.lookup import DecisionLookup


class Repeats:
    """Asks memory first, then the database, once for all."""

    def __init__(self, cache: DecidedCache, lookup: DecisionLookup) -> None:
        self._cache = cache
        self._lookup = lookup

    def among(self, transaction_ids: Sequence[str]) -> dict[str, Decided]:
        """What was decided about those of these ids that are known."""
        if not transaction_ids:
            return {}
        decided = self._cache.among(transaction_ids)
        unknown = [name for name in transaction_ids if name not in decided]
        for name in self._lookup.stored(unknown):
            found = self._lookup.find(name)
            if found is not None:
                decided[name] = found
        return decided
