"""The trace that work belongs to, and its finished spans as lines of JSON.

A caller names the trace in W3C's `traceparent`. While a context is in force its trace id is in
every line of the log and in every problem+json that are written under it, whether spans are
exported or not. Spans go through a pipe to the process that exports them.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson
import structlog

from shared.clock import wall_ns

TRACEPARENT = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_HEADER = 512
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
    match = _FORM.fullmatch(text.strip()) if len(text) <= _LONGEST_HEADER else None
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


Kind = Literal["internal", "server", "client"]
Attribute = str | bool | int | float
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span.

    Attributes:
        parent_id: the span that it is part of; None: the root of its trace.
        begin_ns: nanoseconds since 1970.
        links: spans of other traces that it belongs to as well.
        error: why it failed; None: it did not.
    """

    name: str
    context: TraceContext
    begin_ns: int
    end_ns: int
    parent_id: str | None = None
    kind: Kind = "internal"
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    error: str | None = None

    def line(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "name": self.name[:_LONGEST_TEXT],
            "trace": self.context.trace_id,
            "span": self.context.span_id,
            "begin": self.begin_ns,
            "end": max(self.begin_ns, self.end_ns),
            "kind": self.kind,
        }
        if self.parent_id is not None:
            said["parent"] = self.parent_id
        if self.attributes:
            said["attributes"] = {name: _short(value) for name, value in self.attributes.items()}
        if self.links:
            said["links"] = [[link.trace_id, link.span_id] for link in self.links]
        if self.error is not None:
            said["error"] = self.error[:_LONGEST_TEXT]
        return said


def encode(spans: Sequence[Span]) -> bytes:
    """One line for spans that are kept together."""
    return orjson.dumps([span.line() for span in spans]) + b"\n"


def decode(line: bytes) -> list[Span]:
    """The spans of a line.

    Raises:
        ValueError: it is not one.
    """
    try:
        return [_span(said) for said in orjson.loads(line)]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a line of spans") from error


class EpochInstants:
    """Translates readings of `time.perf_counter` into nanoseconds since 1970."""

    def __init__(self) -> None:
        self._offset_ns = wall_ns() - time.perf_counter_ns()

    def ns(self, seconds: float) -> int:
        return self._offset_ns + int(seconds * 1e9)


def _span(said: Mapping[str, Any]) -> Span:
    return Span(
        said["name"],
        TraceContext(said["trace"], said["span"]),
        said["begin"],
        said["end"],
        said.get("parent"),
        said["kind"],
        said.get("attributes", {}),
        [TraceContext(*link) for link in said.get("links", ())],
        said.get("error"),
    )


def _short(value: Attribute) -> Attribute:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
