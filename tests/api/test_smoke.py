import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from api.models.smoke import ChildSmokeTest
from shared.errors import ModelLoadError
from tests.api.bundles import Signer, graph

MIB = 1024 * 1024


def endless() -> bytes:
    """A loop that only ends after 2**62 rounds."""
    round_ = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Identity", ["carried"], ["carries"]),
        ],
        "round",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, [None, 2]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carries", TensorProto.FLOAT, [None, 2]),
        ],
    )
    rounds = numpy_helper.from_array(np.array(2**62, np.int64), "rounds")
    forever = numpy_helper.from_array(np.array(True), "forever")
    return graph(
        "1.0.0",
        nodes=[
            helper.make_node("Constant", [], ["rounds"], value=rounds),
            helper.make_node("Constant", [], ["forever"], value=forever),
            helper.make_node("Loop", ["rounds", "forever", "features"], ["scores"], body=round_),
        ],
    )


def greedy() -> bytes:
    """Ten GiB of zeros in the middle."""
    shape = numpy_helper.from_array(np.array([10 * 1024, 256 * 1024], np.int64), "shape")
    return graph(
        "1.0.0",
        nodes=[
            helper.make_node("Constant", [], ["shape"], value=shape),
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
            helper.make_node("Add", ["features", "sum"], ["scores"]),
        ],
    )


@pytest.fixture
def bundles(signer: Signer) -> Signer:
    return signer


def test_a_good_model_passes(bundles: Signer) -> None:
    ChildSmokeTest(30, 2048 * MIB).run(bundles.bundle("1.0.0"))


def test_a_model_that_never_ends_is_killed(bundles: Signer) -> None:
    raw = bundles.bundle("1.0.0", {"model.onnx": endless()})
    with pytest.raises(ModelLoadError, match=r"within 3 s|ended by SIG"):
        ChildSmokeTest(3, 2048 * MIB).run(raw)


def test_a_model_that_takes_ten_gigabytes_does_not_get_them(bundles: Signer) -> None:
    raw = bundles.bundle("1.0.0", {"model.onnx": greedy()})
    with pytest.raises(ModelLoadError):
        ChildSmokeTest(20, 2048 * MIB).run(raw)


def test_bytes_that_are_no_bundle_give_a_reason(bundles: Signer) -> None:
    with pytest.raises(ModelLoadError, match="archive"):
        ChildSmokeTest(30, 2048 * MIB).run(b"PK\x03\x04 and then nothing")
