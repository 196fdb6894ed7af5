"""Average precision under many row weights at once, sorted once.

Only distinct scores of positives are thresholds that count. Each row is therefore put into
the slot of the highest such threshold that it reaches; a resample needs the weight in each
slot and a running sum over slots, never a new sort. Agrees with scikit-learn, ties included.
"""

import numpy as np
from scipy import sparse

from scheduler.statistics.sample import Bools, Codes, Floats


class PrecisionSlots:
    """Rows of one model, sorted into threshold slots and added up by group."""

    def __init__(self, scores: Floats, positive: Bools, codes: Codes) -> None:
        thresholds = -np.unique(-scores[positive])
        slot = np.searchsorted(-thresholds, -scores, side="left")
        self._size = (len(thresholds), int(codes.max()) + 1)
        reached = slot < len(thresholds)
        self._highs = self._table(slot[positive], codes[positive])
        lows = reached & ~positive
        self._lows = self._table(slot[lows], codes[lows])

    def average_precision(self, weights: Floats) -> Floats:
        """One value for each column of `weights`, shape (groups, resamples)."""
        highs = self._highs @ weights
        lows = self._lows @ weights
        found = np.cumsum(highs, axis=0)
        flagged = found + np.cumsum(lows, axis=0)
        precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
        total = found[-1]
        sums = np.einsum("ij,ij->j", precision, highs)
        return np.asarray(np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0))

    def _table(self, slots: Codes, codes: Codes) -> sparse.csr_array:
        ones = np.ones(len(slots))
        return sparse.coo_array((ones, (slots, codes)), shape=self._size).tocsr()
