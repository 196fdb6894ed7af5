"""A bundle from before there were codes of words is still served, by its 43 features."""

import numpy as np
import pytest

import usecases
from api.models.model_slot import make_live
from shared.bundle.archive import pack, unpack
from shared.errors import ModelLoadError
from shared.scoring.session import OnnxModel
from tests.api.bundles import graph, manifest
from usecases.fraud.features.catalogue import FEATURE_SET, KERNEL_FEATURES

OLDER = FEATURE_SET.names[:KERNEL_FEATURES]


def bundle(version: str, names: tuple[str, ...]) -> OnnxModel:
    said = manifest(
        "1.0.0",
        use_case="fraud",
        feature_set_version=version,
        feature_names=names,
        components=("classifier",),
    )
    return OnnxModel.load(unpack(pack(said, {"model.onnx": graph("1.0.0", len(names), 1)})))


def test_what_was_trained_on_version_1_reads_the_leading_features() -> None:
    serving = usecases.load_serving("fraud")
    live = make_live(bundle("1", OLDER), serving, 0)
    rows = np.arange(2 * len(FEATURE_SET.names), dtype=np.float32).reshape(2, -1)
    rows[:, KERNEL_FEATURES:] = np.nan
    np.testing.assert_array_equal(live.score(rows)[:, 0], rows[:, 0] / 2)


def test_version_1_had_no_codes_of_words() -> None:
    serving = usecases.load_serving("fraud")
    with pytest.raises(ModelLoadError, match=r"does not compute: .'channel_code'"):
        make_live(bundle("1", (*OLDER[:2], "channel_code")), serving, 0)


def test_a_feature_set_that_nobody_knows_is_refused_with_those_that_are_and_the_remedy() -> None:
    serving = usecases.load_serving("fraud")
    with pytest.raises(ModelLoadError, match="set '7'; this service computes '2' and '1': retrain"):
        make_live(bundle("7", OLDER), serving, 0)
