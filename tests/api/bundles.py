"""Real bundles around a real graph of one matrix product and one sum."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from api.registry.registry import Meta, Registry, StoredVersion
from api.settings import Settings
from shared.bundle.archive import pack, unpack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.bundle.version import Version
from shared.keys.store import KeyStore, sign
from tests.api.tiny import COMPONENTS, FEATURES

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def bias_of(version: str) -> float:
    """What the graph of a version adds to every score: the score tells who made it."""
    parsed = Version.parse(version)
    return parsed.minor * 100.0 + parsed.patch


def graph(
    version: str, features: int = 2, components: int = 2, nodes: list[Any] | None = None
) -> bytes:
    """scores = half the first feature + bias; unknown (NaN) features count as zero."""
    weights = np.zeros((features, components), dtype=np.float32)
    weights[0] = 0.5
    made = helper.make_graph(
        nodes
        or [
            helper.make_node("IsNaN", ["features"], ["unknown"]),
            helper.make_node("Where", ["unknown", "zero", "features"], ["known"]),
            helper.make_node("MatMul", ["known", "weights"], ["weighed"]),
            helper.make_node("Add", ["weighed", "bias"], ["scores"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, components])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([bias_of(version)] * components, np.float32), "bias"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    raw: bytes = model.SerializeToString()
    return raw


def manifest(version: str, **changes: Any) -> Manifest:
    names = changes.pop("feature_names", FEATURES.names)
    components = changes.pop("components", COMPONENTS)
    inputs, outputs = served_signature(len(names), len(components))
    said = {
        "model_name": "tiny",
        "version": version,
        "created_at": MOMENT,
        "use_case": "tiny",
        "frameworks": {"onnx": onnx.__version__},
        "python_version": "3.11",
        "components": components,
        "feature_names": names,
        "feature_set_version": FEATURES.version,
        "inputs": inputs,
        "outputs": outputs,
        "thresholds": {"review": 0.5},
        "hyperparameters": {},
        "metrics": {"average_precision": 0.9},
        "training_data": TrainingData(
            rows=10, positives=1, window_start=MOMENT, window_end=MOMENT, sha256="0" * 64
        ),
        "description": f"tiny {version}",
    }
    return Manifest.model_validate(said | changes)


class Signer:
    """Makes bundles and signs them with the key the service trusts."""

    def __init__(self, keys_dir: Path) -> None:
        self._store = KeyStore(keys_dir)
        self._store.ensure_signing_key()

    def bundle(
        self, version: str, files: Mapping[str, bytes] | None = None, **changes: Any
    ) -> bytes:
        made = manifest(version, **changes)
        sizes = len(made.feature_names), len(made.components)
        return pack(made, files or {"model.onnx": graph(version, *sizes)})

    def sign(self, raw: bytes) -> str:
        return sign(raw, self._store.private_key())


def install(settings: Settings, signer: Signer, *versions: str) -> None:
    """A registry as earlier pushes left it; the last version is the current one."""
    registry = Registry(settings.prod_models_dir)
    registry.open()
    for version in versions:
        accept(registry, signer, version, signer.bundle(version))


def accept(registry: Registry, signer: Signer, version: str, raw: bytes) -> None:
    """Have a bundle in the registry, as if it had been pushed and activated."""
    bundle = unpack(raw)
    meta = Meta(
        version=version,
        sha256=bundle.sha256,
        key_id="key",
        accepted_at_us=1,
        size_bytes=len(raw),
        manifest=bundle.manifest.model_dump(mode="json", exclude={"files"}),
    )
    registry.store(meta, StoredVersion(raw, signer.sign(raw)))
    registry.point_to(version)
    accepted = registry.ledger.with_accepted(meta.acceptance(), None)
    registry.save(accepted.with_activation(version, 1))
