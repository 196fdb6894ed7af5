"""Features of rows that are recorded, as the scoring pipeline asks for them."""

from collections.abc import Sequence

from shared.transaction import Transaction
from shared.usecase.serving import FeatureSource, FloatMatrix


def reserved(source: FeatureSource, rows: Sequence[Transaction]) -> FloatMatrix:
    """The vectors of rows that later rows see."""
    with source.reserve(rows) as reservation:
        reservation.commit()
    return reservation.matrix
