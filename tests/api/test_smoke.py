import pytest

from api.models.verify import ChildSmokeTest
from shared.errors import ModelLoadError
from tests.api.bundles import Signer
from tests.support.api_pushes import endless, greedy

MIB = 1024 * 1024


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
