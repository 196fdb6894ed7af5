"""Rows that were decided before: answered as before, and not counted again."""

from collections.abc import Sequence

from api.scoring.cache import DecidedCache
from api.scoring.lookup import DecisionLookup, Known


class Repeats:
    """Asks memory first, then the database, once for all."""

    def __init__(self, cache: DecidedCache, lookup: DecisionLookup) -> None:
        self._cache = cache
        self._lookup = lookup

    def among(self, transaction_ids: Sequence[str]) -> dict[str, Known]:
        """What is known of those of these ids that were decided before."""
        if not transaction_ids:
            return {}
        kept = self._cache.among(transaction_ids)
        known = {name: Known(decided.transaction, decided) for name, decided in kept.items()}
        unknown = [name for name in transaction_ids if name not in known]
        for name in self._lookup.stored(unknown):
            found = self._lookup.find(name)
            if found is not None:
                known[name] = found
        return known
