"""Under which key a decision is found again: quarantined rows have an id space of their own.

A caller who is not trusted can thus neither take an id before its owner sends it, nor read the
decision about a row that somebody else sent.
"""

# no transaction_id holds a NUL
_QUARANTINED = "\0"


def quarantine_key(transaction_id: str) -> str:
    """The key of the quarantined decision of this id."""
    return _QUARANTINED + transaction_id


def quarantined_id(key: str) -> str | None:
    """The transaction_id of a quarantined decision's key; None for other keys."""
    return key[1:] if key[:1] == _QUARANTINED else None
