"""The trace that work belongs to, as W3C's `traceparent` carries it from caller to callee.

While a context is in force its trace id is in every line of the log and in every problem+json that
are written under it, whether spans are exported or not.
"""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import structlog

HEADER = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST = 512
# Identifiers have to be unique, not secret; the system's generator needs a system call.
_draw = random.Random(random.SystemRandom().getrandbits(128))  # noqa: S311


class TraceContext(NamedTuple):
    """A span that other spans belong to.

    Attributes:
        is_sampled: its caller keeps the trace.
    """

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"

    def child(self) -> "TraceContext":
        """A new span of the same trace."""
        return TraceContext(self.trace_id, new_span_id(), self.is_sampled)


_current: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)


def current_context() -> TraceContext | None:
    """The context in force."""
    return _current.get()


def new_trace_id() -> str:
    return f"{_draw.getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    return f"{_draw.getrandbits(64) or 1:016x}"


def new_context(*, is_sampled: bool = True) -> TraceContext:
    """The root of a trace."""
    return TraceContext(new_trace_id(), new_span_id(), is_sampled)


def parse_traceparent(value: str | bytes) -> TraceContext | None:
    """The caller's context; None where the header is not one, and is ignored as W3C asks."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (
        version == "ff"
        or (version == "00" and more)
        or not (trace_id.strip("0") and span_id.strip("0"))
    ):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


@contextmanager
def in_context(context: TraceContext | None) -> Iterator[None]:
    """Work under this context; None: under none."""
    token = _current.set(context)
    try:
        if context is None:
            yield
        else:
            with structlog.contextvars.bound_contextvars(trace_id=context.trace_id):
                yield
    finally:
        _current.reset(token)
