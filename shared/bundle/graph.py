"""Checks that an ONNX graph only computes: no external files, only standard operators.

ONNX lets a tensor live in another file, wherever a tensor may stand, and an operator come from a
library. Runtimes check the paths, and such checks have failed (CVE-2022-25882, CVE-2024-27318,
CVE-2024-5187). Here every external reference is refused, so no path has to be checked.

The format stands below as far as a reader needs it: every message, every field, by number. The
`onnx` package stays out of the scoring service; the protobuf runtime is there already and reads
what onnxruntime reads. A test compares the table with the package's own schema.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

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


PACKAGE = "understudy.onnx"
# One line for each message: field=number:type, * for repeated fields. b: text and bytes,
# i: every integer and enumeration, f: float, d: double, anything else: a message.
SCHEMA = """
AttributeProto name=1:b ref_attr_name=21:b doc_string=13:b type=20:i f=2:f i=3:i s=4:b \
t=5:TensorProto g=6:GraphProto sparse_tensor=22:SparseTensorProto tp=14:TypeProto floats=7:f* \
ints=8:i* strings=9:b* tensors=10:TensorProto* graphs=11:GraphProto* \
sparse_tensors=23:SparseTensorProto* type_protos=15:TypeProto*
ValueInfoProto name=1:b type=2:TypeProto doc_string=3:b metadata_props=4:StringStringEntryProto*
NodeProto input=1:b* output=2:b* name=3:b op_type=4:b domain=7:b overload=8:b \
attribute=5:AttributeProto* doc_string=6:b metadata_props=9:StringStringEntryProto* \
device_configurations=10:NodeDeviceConfigurationProto*
IntIntListEntryProto key=1:i value=2:i*
NodeDeviceConfigurationProto configuration_id=1:b sharding_spec=2:ShardingSpecProto* \
pipeline_stage=3:i
ShardingSpecProto tensor_name=1:b device=2:i* index_to_device_group_map=3:IntIntListEntryProto* \
sharded_dim=4:ShardedDimProto*
ShardedDimProto axis=1:i simple_sharding=2:SimpleShardedDimProto*
SimpleShardedDimProto dim_value=1:i dim_param=2:b num_shards=3:i
TrainingInfoProto initialization=1:GraphProto algorithm=2:GraphProto \
initialization_binding=3:StringStringEntryProto* update_binding=4:StringStringEntryProto*
ModelProto ir_version=1:i opset_import=8:OperatorSetIdProto* producer_name=2:b \
producer_version=3:b domain=4:b model_version=5:i doc_string=6:b graph=7:GraphProto \
metadata_props=14:StringStringEntryProto* training_info=20:TrainingInfoProto* \
functions=25:FunctionProto* configuration=26:DeviceConfigurationProto*
DeviceConfigurationProto name=1:b num_devices=2:i device=3:b*
StringStringEntryProto key=1:b value=2:b
TensorAnnotation tensor_name=1:b quant_parameter_tensor_names=2:StringStringEntryProto*
GraphProto node=1:NodeProto* name=2:b initializer=5:TensorProto* \
sparse_initializer=15:SparseTensorProto* doc_string=10:b input=11:ValueInfoProto* \
output=12:ValueInfoProto* value_info=13:ValueInfoProto* \
quantization_annotation=14:TensorAnnotation* metadata_props=16:StringStringEntryProto*
TensorProto dims=1:i* data_type=2:i segment=3:Segment float_data=4:f* int32_data=5:i* \
string_data=6:b* int64_data=7:i* name=8:b doc_string=12:b raw_data=9:b \
external_data=13:StringStringEntryProto* data_location=14:i double_data=10:d* uint64_data=11:i* \
metadata_props=16:StringStringEntryProto*
Segment begin=1:i end=2:i
SparseTensorProto values=1:TensorProto indices=2:TensorProto dims=3:i*
TensorShapeProto dim=1:Dimension*
Dimension dim_value=1:i dim_param=2:b denotation=3:b
TypeProto tensor_type=1:Tensor sequence_type=4:Sequence map_type=5:Map optional_type=9:Optional \
sparse_tensor_type=8:SparseTensor opaque_type=7:Opaque denotation=6:b
Tensor elem_type=1:i shape=2:TensorShapeProto
Sequence elem_type=1:TypeProto
Map key_type=1:i value_type=2:TypeProto
Optional elem_type=1:TypeProto
SparseTensor elem_type=1:i shape=2:TensorShapeProto
Opaque domain=1:b name=2:b
OperatorSetIdProto domain=1:b version=2:i
FunctionProto name=1:b input=4:b* output=5:b* attribute=6:b* attribute_proto=11:AttributeProto* \
node=7:NodeProto* doc_string=8:b opset_import=9:OperatorSetIdProto* domain=10:b overload=13:b \
value_info=12:ValueInfoProto* metadata_props=14:StringStringEntryProto*
"""
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "b": _Field.TYPE_BYTES,
    "i": _Field.TYPE_INT64,
    "f": _Field.TYPE_FLOAT,
    "d": _Field.TYPE_DOUBLE,
}


@cache
def model_class() -> Any:
    """The class that reads a ModelProto; made at the first call."""
    file = descriptor_pb2.FileDescriptorProto(name="onnx.proto", package=PACKAGE, syntax="proto2")
    for line in SCHEMA.strip().splitlines():
        name, *fields = line.split()
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, field)
    # a separate pool: the onnx package may have registered the same names in this process
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.ModelProto"))


def _add_field(message: Any, text: str) -> None:
    name, _, rest = text.partition("=")
    number, _, kind = rest.partition(":")
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
