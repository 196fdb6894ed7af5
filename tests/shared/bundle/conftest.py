from collections.abc import Mapping
from datetime import UTC, datetime

import onnx
import pytest

from shared.bundle.manifest import Manifest, TrainingData, served_signature
from tests.support.tiny_graphs import tiny_graph

FEATURES = ("amount", "hour")
COMPONENTS = ("classifier", "isolation_forest")


@pytest.fixture
def manifest() -> Manifest:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    inputs, outputs = served_signature(len(FEATURES), len(COMPONENTS))
    return Manifest(
        model_name="tiny",
        version="1.0.0",
        created_at=moment,
        use_case="tiny",
        frameworks={"onnx": onnx.__version__},
        python_version="3.11.7",
        components=COMPONENTS,
        feature_names=FEATURES,
        feature_set_version="1",
        inputs=inputs,
        outputs=outputs,
        thresholds={"review": 0.5},
        hyperparameters={},
        metrics={"roc_auc": 0.9},
        training_data=TrainingData(
            rows=10, positives=1, window_start=moment, window_end=moment, sha256="0" * 64
        ),
        description="two weighted sums",
    )


@pytest.fixture
def files() -> Mapping[str, bytes]:
    return {"model.onnx": tiny_graph(), "baseline.json": b"{}", "card.md": b"# tiny\n"}
