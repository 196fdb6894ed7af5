"""Who sent a row, told from worker to worker: the one that accepted it has read the credentials."""

from functools import lru_cache

import orjson

from api.http.callers import Caller
from shared.keys.tokens import Role


@lru_cache(maxsize=1_000)
def encoded_sender(sender: Caller) -> bytes:
    """The context of a call."""
    said = [str(sender.role), sender.name, sender.is_anonymous, sender.is_trusted]
    return orjson.dumps(said)


@lru_cache(maxsize=1_000)
def decoded_sender(context: bytes) -> Caller:
    """The sender that a context tells of."""
    role, name, is_anonymous, is_trusted = orjson.loads(context)
    return Caller(Role(role), name, is_anonymous=is_anonymous, is_trusted=is_trusted)
