"""Contributions to the classifier's score, told by feature; a word as the caller sent it."""

from shared.transaction import Transaction
from shared.usecase.serving import FloatVector, ReasonRule, ServedModel

from ..features.catalogue import CODES
from ..features.categories import COLUMNS

DEFAULT_REASONS = 3
_WORDS = dict(zip(CODES, COLUMNS, strict=True))


def _value(row: Transaction, name: str, number: float | None) -> float | str | None:
    if name in COLUMNS:
        word: str | None = getattr(row, name)
        return word
    return number


def _classifier(_scores: FloatVector, _model: ServedModel) -> int:
    return 0


REASON_RULE = ReasonRule(DEFAULT_REASONS, _WORDS, _value, _classifier)
