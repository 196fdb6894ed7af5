"""Spans of work in progress: sink and parent are those in force, like the fields of a log line."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from shared.tracing.pipe import SpanSink
from shared.tracing.spans import (
    Attribute,
    EpochInstants,
    Kind,
    Span,
    TraceContext,
    current_context,
    in_context,
)

_sink: ContextVar[SpanSink | None] = ContextVar("span_sink", default=None)


@dataclass(slots=True)
class OpenSpan:
    """A span in progress: what is known of it so far."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    error: str | None = None


@contextmanager
def recording(sink: SpanSink | None, context: TraceContext | None) -> Iterator[None]:
    """Work as part of a trace; its spans go to the sink, None: nowhere."""
    token = _sink.set(sink)
    try:
        with in_context(context):
            yield
    finally:
        _sink.reset(token)


@contextmanager
def span(name: str, kind: Kind = "internal") -> Iterator[OpenSpan]:
    """One piece of work of the trace in force; without one it is not recorded.

    An exception is its error, and goes on upwards.
    """
    found, parent, began = OpenSpan(), current_context(), time.perf_counter()
    if parent is None:
        yield found
        return
    context = parent.child()
    try:
        with in_context(context):
            yield found
    except BaseException as error:
        found.error = found.error or f"{type(error).__name__}: {error}"
        raise
    finally:
        _keep(name, kind, context, parent, began, found)


def _keep(  # noqa: PLR0917 - one after the other as Span names them
    name: str,
    kind: Kind,
    context: TraceContext,
    parent: TraceContext,
    began: float,
    found: OpenSpan,
) -> None:
    sink, ns = _sink.get(), EpochInstants().ns
    if sink is not None:
        end = ns(time.perf_counter())
        attributes, error = found.attributes, found.error
        sink.keep(
            [Span(name, context, ns(began), end, parent.span_id, kind, attributes, (), error)]
        )
