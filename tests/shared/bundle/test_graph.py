"""The table of the format against the onnx package's own, and what bytes alone can try."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from onnx import onnx_ml_pb2

from shared.bundle.graph import check_graph, model_class
from shared.errors import BundleMalformed
from tests.support.tiny_graphs import tiny_graph

SHAPES = {
    FieldDescriptor.TYPE_STRING: FieldDescriptor.TYPE_BYTES,
    FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_INT32: FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64: FieldDescriptor.TYPE_INT64,
}


def described(message: Any, into: dict[str, Any]) -> dict[str, Any]:
    """Message name -> {number: (name, wire shape, repeats, message)}, all that can be reached."""
    if message.name in into:
        return into
    into[message.name] = {
        field.number: (
            field.name,
            SHAPES.get(field.type, field.type),
            field.is_repeated,
            field.message_type.name if field.message_type else None,
        )
        for field in message.fields
    }
    for field in message.fields:
        if field.message_type is not None:
            described(field.message_type, into)
    return into


def test_the_table_is_the_onnx_packages_own_schema() -> None:
    ours = described(model_class().DESCRIPTOR, {})
    theirs = described(onnx_ml_pb2.ModelProto.DESCRIPTOR, {})
    assert ours == theirs


def test_an_ordinary_graph_passes() -> None:
    check_graph("model.onnx", tiny_graph())


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_and_never_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(BundleMalformed):
        check_graph("model.onnx", raw)


def test_a_member_that_the_format_does_not_know_is_refused() -> None:
    # field 99 of the model: whatever a later runtime may read into it
    with pytest.raises(BundleMalformed, match="does not know"):
        check_graph("model.onnx", tiny_graph() + b"\x9a\x06\x03abc")


def wrapped(tag: int, body: bytes) -> bytes:
    """A member that holds a message, by hand: libraries refuse to write what is nested so deep."""
    length, digits = len(body), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([tag]) + bytes(digits) + bytes([length]) + body


def test_a_nesting_without_end_is_refused() -> None:
    graph = b""
    for _ in range(400):
        graph = wrapped(0x0A, wrapped(0x2A, wrapped(0x32, graph)))  # node, attribute, graph
    with pytest.raises(BundleMalformed):
        check_graph("model.onnx", wrapped(0x3A, graph))
