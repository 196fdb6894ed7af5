"""Addresses whose plain requests skip ASGI, as the protocol sees them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from api.http.callers import Caller

Headers = Sequence[tuple[bytes, bytes]]


class ReplyConnection(Protocol):
    """The connection that a reply goes to.

    Attributes:
        traceparent: the trace context that the caller sent.
    """

    traceparent: bytes | None

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send the reply; `headers` are lines, without the length."""
        ...


class FastRoute(Protocol):
    """One address."""

    @property
    def limit_bytes(self) -> int: ...

    def admits(self, headers: Headers) -> Caller | None:
        """The caller that sends these, if it is admitted."""
        ...

    def take(self, body: bytes, caller: Caller, recipient: ReplyConnection) -> None:
        """Call the recipient's `answer`, soon."""
        ...


def _flush_nothing() -> None:
    """The flush of a service without a fast route: no request waits."""


@dataclass(frozen=True, slots=True)
class FastRoutes:
    """Routes by the address as the request line has it.

    Attributes:
        flush: answer every request that waits, now.
    """

    by_url: Mapping[bytes, FastRoute] = field(default_factory=dict)
    flush: Callable[[], None] = _flush_nothing
