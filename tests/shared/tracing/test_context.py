"""Trace contexts: what W3C allows is read, anything else is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tracing.spans import (
    Span,
    TraceContext,
    current_context,
    decode,
    encode,
    in_context,
    new_context,
    parse_traceparent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
IDS = st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))


@given(ids=IDS, is_sampled=st.booleans())
def test_a_context_that_is_sent_is_the_one_that_is_read(
    ids: tuple[int, int], is_sampled: bool
) -> None:
    context = TraceContext(f"{ids[0]:032x}", f"{ids[1]:016x}", is_sampled)
    assert parse_traceparent(context.traceparent) == context
    assert parse_traceparent(context.traceparent.encode()) == context


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01" + "x" * 600,
        "☃",
    ],
)
def test_what_is_no_context_is_ignored(value: str) -> None:
    assert parse_traceparent(value.encode()) is None


def test_a_later_version_may_say_more() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == TraceContext(TRACE, SPAN)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-02") == TraceContext(TRACE, SPAN, is_sampled=False)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(value: bytes) -> None:
    parse_traceparent(value)


def test_a_context_is_in_force_for_its_block_only() -> None:
    context = new_context()
    with in_context(context):
        assert current_context() == context
        with in_context(None):
            assert current_context() is None
    assert current_context() is None


@given(
    st.text(max_size=400),
    IDS,
    st.dictionaries(st.text(max_size=10), st.integers(-(2**50), 2**50), max_size=3),
    st.none() | st.text(min_size=1, max_size=400),
)
def test_spans_come_out_of_a_line_as_they_went_in(
    name: str, ids: tuple[int, int], attributes: dict[str, int], error: str | None
) -> None:
    context = TraceContext(f"{ids[0]:032x}", f"{ids[1]:016x}")
    span = Span(name[:300], context, 5, 9, context.span_id, "server", attributes, [context],
                None if error is None else error[:300])  # fmt: skip
    line = encode([span, span])
    assert line.count(b"\n") == 1
    assert decode(line) == [span, span]


@pytest.mark.parametrize("line", [b"", b"{}x", b'[{"name": 1}]', b"[1]", b'{"a": 1}'])
def test_a_line_that_is_none_is_refused_as_such(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"line|JSON|document|column|input|character"):
        decode(line)
