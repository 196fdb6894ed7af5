"""Checks that an ONNX graph only computes: no external files, only standard operators.

ONNX lets a tensor live in another file, wherever a tensor may stand, and an operator come from a
library. Runtimes check the paths, and such checks have failed (CVE-2022-25882, CVE-2024-27318,
CVE-2024-5187). Here every external reference is refused, so no path has to be checked.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from shared.bundle.onnx_schema import model_class
from shared.errors import BundleMalformed

SUFFIX = ".onnx"
# Standard operators only; those of onnxruntime and other vendors are refused.
DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml"})
# onnxruntime's ORT format has no published schema, so it cannot be checked.
_OTHER_FORMAT = b"ORTM"


def check_graph(path: str, raw: bytes) -> None:
    """Check every message of an ONNX file.

    Raises:
        BundleMalformed: it is not an ONNX file, or it refers to external data.
    """
    if raw[4:8] == _OTHER_FORMAT:
        raise BundleMalformed(f"{path} is in a format that cannot be inspected; use ONNX")
    try:
        model = model_class().FromString(raw)
    except DecodeError as error:
        raise BundleMalformed(f"{path} is not an ONNX graph: {error}") from error
    if not model.HasField("graph"):
        raise BundleMalformed(f"{path} is not an ONNX graph: it holds none")
    for message in _walk(model):
        refusal = _refusal(message)
        if refusal is not None:
            raise BundleMalformed(f"{path} {refusal}")


def _walk(message: Any) -> Iterator[Any]:
    """The message and all below it; the parser has bounded how deep that is."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if field.is_repeated else (value,):
            yield from _walk(child)


def _refusal(message: Any) -> str | None:
    kind = message.DESCRIPTOR.name
    if len(UnknownFieldSet(message)) > 0:
        return f"holds members of {kind} that the format does not know"
    if kind == "TensorProto" and (message.external_data or message.data_location):
        return f"keeps tensor {_shown(message.name)} in another file"
    if kind == "ModelProto" and (message.functions or message.training_info):
        return "brings functions or training information; inline the functions, drop the rest"
    if kind in ("NodeProto", "OperatorSetIdProto") and message.domain not in DOMAINS:
        return f"uses operators of the domain {_shown(message.domain)}, which is not allowed"
    return None


def _shown(name: bytes) -> str:
    return repr(name[:80].decode(errors="replace"))
