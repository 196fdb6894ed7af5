"""Finished spans as lines of JSON: what goes through the pipe to the process that exports them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from shared.clock import wall_ns
from shared.tracing.context import TraceContext

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
