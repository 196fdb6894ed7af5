"""Holm's correction (1979): many questions asked at once keep one common error."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: reject where they are at most the common alpha.

    The k-th smallest is multiplied by how many are left, and never falls below an earlier one.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw)
    left = np.arange(len(raw), 0, -1)
    stepped = np.maximum.accumulate(np.minimum(raw[order] * left, 1.0))
    adjusted = np.empty_like(raw)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]
