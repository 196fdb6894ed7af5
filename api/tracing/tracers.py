"""Tracers of micro-batches and of other requests: each decides at the end, by the tail rule."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from api.metrics import Metrics
from api.row_metrics import BUCKETS
from api.tracing.tail import LastMinute, TailSampler
from shared.tracing.pipe import SpanSink
from shared.tracing.spans import (
    Attribute,
    EpochInstants,
    Span,
    TraceContext,
    new_context,
    new_span_id,
    parse_traceparent,
)

PHASES: tuple[str, ...] = ("wait", "parse", "accept", "features", "model", "record", "answer")
# Span links that fit, with the phases, into one line of the pipe.
_MOST_LINKS = 24
_CALLERS_A_LINE = 8
_FAILED = 500


class TracedRequest(NamedTuple):
    """A row whose caller sent a context.

    Attributes:
        started: when it had arrived completely, `time.perf_counter`.
        has_layer: a layer outside the micro-batch makes its span in its caller's trace.
    """

    traceparent: bytes
    started: float
    path: str
    has_layer: bool


class BatchTrace:
    """One micro-batch in progress.

    Attributes:
        marks: readings of `time.perf_counter`, one at the end of each phase.
        failed: rows that were answered with 500 or above.
        is_split: the rows failed together, and were scored one by one.
    """

    __slots__ = ("_context", "failed", "is_split", "marks")

    def __init__(self, began: float) -> None:
        self.marks = [began]
        self.failed = 0
        self.is_split = False
        self._context: TraceContext | None = None

    @property
    def context(self) -> TraceContext:
        """Made when something asks for it: a problem, a log line, or the decision to keep it."""
        if self._context is None:
            self._context = new_context()
        return self._context


class BatchTracer:
    """Decides at the end of each micro-batch, and hands what is kept to the pipe."""

    def __init__(
        self, spans: SpanSink, sampler: TailSampler, minute: LastMinute, worker: int = 0
    ) -> None:
        self._spans = spans
        self._sampler = sampler
        self._minute = minute
        self._worker = worker

    def end(
        self,
        trace: BatchTrace,
        first_started: float,
        rows: int,
        callers: Sequence[TracedRequest],
        about: Callable[[], dict[str, str]],
    ) -> None:
        """All rows are answered; `about` says more of them, if they are kept."""
        now = time.perf_counter()
        # rows of a micro-batch arrive one by one and are answered together: the first is slowest
        is_slow = self._minute.is_slow(now - first_started, now)
        known_callers = _contexts(callers) if callers else ()
        is_sampled = any(context.is_sampled for _, context in known_callers)
        why = self._sampler.why(now, rows, trace.failed > 0, is_sampled, is_slow)
        if why is not None:
            counts = {"rows": rows, "rows.failed": trace.failed}
            known: dict[str, Attribute] = {"kept": why, **counts, **about()}
            self._keep(trace, first_started, known_callers, known, now)

    def _keep(
        self,
        trace: BatchTrace,
        began: float,
        callers: Sequence[tuple[TracedRequest, TraceContext]],
        known: dict[str, Attribute],
        now: float,
    ) -> None:
        ns, context = EpochInstants().ns, trace.context
        batch = Span(
            "score micro-batch",
            context,
            ns(began),
            ns(now),
            attributes={**known, "worker": self._worker},
            links=[found for _, found in callers[:_MOST_LINKS]],
            error=f"{trace.failed} rows failed" if trace.failed else None,
        )
        if not self._spans.keep([batch, *_phases(trace, began, now, ns)]):
            return
        told = [
            _of_caller(request, caller, context, now, ns)
            for request, caller in callers
            if caller.is_sampled and not request.has_layer
        ]
        for first in range(0, len(told), _CALLERS_A_LINE):
            self._spans.keep(told[first : first + _CALLERS_A_LINE])


class RequestTracer:
    """Decides at the end of each request outside the fast path."""

    def __init__(
        self, spans: SpanSink, sampler: TailSampler, metrics: Metrics, worker: int = 0
    ) -> None:
        self._spans = spans
        self._sampler = sampler
        self._metrics = metrics
        self._worker = worker
        self._minutes: dict[str, LastMinute] = {}

    def end(
        self,
        name: str,
        context: TraceContext,
        parent: TraceContext | None,
        *,
        began: float,
        status: int,
    ) -> None:
        """The request is answered; 0: its caller has gone."""
        now = time.perf_counter()
        is_slow = self._minute_of(name).is_slow(now - began, now)
        is_sampled = parent is not None and parent.is_sampled
        why = self._sampler.why(now, 1, status >= _FAILED, is_sampled, is_slow)
        if why is None:
            return
        ns = EpochInstants().ns
        span = Span(
            name,
            context,
            ns(began),
            ns(now),
            None if parent is None else parent.span_id,
            "server",
            {"http.response.status_code": status, "kept": why, "worker": self._worker},
            error=f"status {status}" if status >= _FAILED else None,
        )
        self._spans.keep([span])

    def _minute_of(self, name: str) -> LastMinute:
        if name not in self._minutes:
            counts = self._metrics.route(name.partition(" ")[2]).buckets
            self._minutes[name] = LastMinute(BUCKETS, counts)
        return self._minutes[name]


def _phases(trace: BatchTrace, began: float, now: float, ns: Callable[[float], int]) -> list[Span]:
    names, marks, context = PHASES, [*trace.marks, now], trace.context
    if trace.is_split or len(marks) != len(names):
        # no phase covers all rows
        names, marks = ("wait", "score"), [marks[0], marks[-1]]
    begins = [began, *marks[:-1]]
    return [
        Span(name, context.child(), ns(begin), ns(end), parent_id=context.span_id)
        for name, begin, end in zip(names, begins, marks, strict=True)
    ]


def _of_caller(
    request: TracedRequest,
    caller: TraceContext,
    batch: TraceContext,
    now: float,
    ns: Callable[[float], int],
) -> Span:
    """The request in its caller's own trace."""
    return Span(
        f"POST {request.path}",
        TraceContext(caller.trace_id, new_span_id()),
        ns(request.started),
        ns(now),
        caller.span_id,
        "server",
        links=[batch],
    )


def _contexts(callers: Sequence[TracedRequest]) -> list[tuple[TracedRequest, TraceContext]]:
    """Requests with the contexts that they are part of."""
    contexts = [(one, parse_traceparent(one.traceparent)) for one in callers]
    return [(one, found) for one, found in contexts if found is not None]
