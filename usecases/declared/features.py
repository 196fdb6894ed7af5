"""The features of a declared row: its encoded vector, which needs no history."""

from collections.abc import Sequence

import numpy as np

from shared.rows.encoder import RowEncoder
from shared.rows.schema import Row, RowSchema
from shared.transaction import Label
from shared.usecase.serving import FloatMatrix, FloatVector, Reservation


class RowFeatures:
    """Implements `FeatureSource` for rows that depend on nothing but themselves."""

    def __init__(self, schema: RowSchema) -> None:
        self._encoder = RowEncoder(schema)
        self._width = len(self._encoder.names)

    def vector(self, transaction: Row) -> FloatVector:
        return self._encoder.vector(transaction)

    def reserve(self, transactions: Sequence[Row]) -> Reservation:
        """Features of the rows; nothing is reserved, because no row is visible to another."""
        return Reservation(self._matrix(transactions), (), self.forget)

    def remember(self, transaction: Row) -> None:
        """Does nothing: no later row depends on these."""

    def forget(self, transaction_ids: Sequence[str]) -> None:
        """Does nothing: no row was remembered."""

    def learned(self, labels: Sequence[Label]) -> None:
        """Does nothing: no feature is made of labels."""

    def _matrix(self, transactions: Sequence[Row]) -> FloatMatrix:
        if not transactions:
            return np.empty((0, self._width), dtype=np.float32)
        return self._encoder.matrix(transactions)
