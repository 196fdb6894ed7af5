"""Models in memory: one ONNX session on one thread, and loading of a bundle by its flavour."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime

from shared.bundle.archive import Bundle
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.model import Model
from shared.usecase.serving import FloatMatrix

GRAPH = "model.onnx"
_INPUT, _OUTPUT = "features", "scores"
BOUND_ROWS = 32
"""Up to here calls through bound memory are faster; a larger batch no longer feels the 2 us."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A loaded bundle."""

    manifest: Manifest
    sha256: str
    _session: Any
    _threads: threading.local = field(default_factory=threading.local, compare=False)

    @classmethod
    def load(cls, bundle: Bundle) -> "OnnxModel":
        """Build the session and check it against the manifest.

        Raises:
            ModelLoadError: no graph, not loadable, or not the signature it declares.
        """
        graph = bundle.files.get(GRAPH)
        if graph is None:
            raise ModelLoadError(f"the bundle has no {GRAPH}")
        try:
            session = onnxruntime.InferenceSession(
                graph, _options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelLoadError(f"{GRAPH} does not load: {error}") from error
        _check_signature(session, bundle.manifest)
        return cls(bundle.manifest, bundle.sha256, session)

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Component scores, (rows, features) -> (rows, components), float32."""
        if 0 < len(matrix) <= BOUND_ROWS:
            return self._bound_memory().score(matrix)
        scores: FloatMatrix = self._session.run((_OUTPUT,), {_INPUT: matrix})[0]
        return scores

    def _bound_memory(self) -> "_BoundMemory":
        try:
            memory: _BoundMemory = self._threads.memory
        except AttributeError:
            widths = (len(self.manifest.feature_names), len(self.manifest.components))
            memory = self._threads.memory = _BoundMemory(self._session, *widths)
        return memory


class _BoundMemory:
    """Thread-local input and output buffers: 2 us a call less than passing arrays.

    Each number of rows is bound at its first use, always to the start of the same buffer.
    """

    def __init__(self, session: Any, features: int, components: int) -> None:
        self._session = session
        self._input = np.zeros((BOUND_ROWS, features), dtype=np.float32)
        self._output = np.zeros((BOUND_ROWS, components), dtype=np.float32)
        self._bindings: dict[int, Any] = {}

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Scores of at most BOUND_ROWS rows."""
        rows, features = matrix.shape
        if features != self._input.shape[1]:
            raise ValueError(f"rows of {self._input.shape[1]} features, not {matrix.shape}")
        self._input[:rows] = matrix
        self._session.run_with_iobinding(self._bindings.get(rows) or self._bind(rows))
        return self._output[:rows].copy()

    def _bind(self, rows: int) -> Any:
        binding = self._bindings[rows] = self._session.io_binding()
        for bind, name, memory in (
            (binding.bind_input, _INPUT, self._input[:rows]),
            (binding.bind_output, _OUTPUT, self._output[:rows]),
        ):
            bind(name, "cpu", 0, np.float32, memory.shape, memory.ctypes.data)
        return binding


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    # One row is 20 us of work: a second thread costs more than it saves.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # The memory arena would keep the memory of the largest batch permanently.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    # Load as ONNX, the format that was inspected, even if the bytes match another format too.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _check_signature(session: Any, manifest: Manifest) -> None:
    inputs = [(tensor.name, tensor.type) for tensor in session.get_inputs()]
    outputs = [(tensor.name, tensor.type) for tensor in session.get_outputs()]
    if inputs != [(_INPUT, "tensor(float)")] or outputs != [(_OUTPUT, "tensor(float)")]:
        raise ModelLoadError(f"{GRAPH} maps {inputs} to {outputs}, not features to scores")
    # one row more than scores, so that a transposed output has a different shape
    rows = len(manifest.components) + 1
    shape = np.zeros((rows, len(manifest.feature_names)), dtype=np.float32)
    try:
        scores = session.run((_OUTPUT,), {_INPUT: shape})[0]
    except Exception as error:
        raise ModelLoadError(f"{GRAPH} does not score: {error}") from error
    if scores.shape != (rows, len(manifest.components)):
        raise ModelLoadError(
            f"{GRAPH} answers {scores.shape} for {rows} rows; components: {manifest.components}"
        )


def load_model(bundle: Bundle, *, allow_pickle: bool) -> Model:
    """Load a bundle whose signature has been verified.

    Raises:
        ModelLoadError: it does not load or score, or its flavour is switched off.
    """
    check_allowed(bundle.manifest, allow_pickle=allow_pickle)
    if bundle.manifest.flavour == "onnx":
        return OnnxModel.load(bundle)
    from shared.scoring.pickled import PickledModel  # noqa: PLC0415 - never imported when off

    return PickledModel.load(bundle)


def check_allowed(manifest: Manifest, *, allow_pickle: bool) -> None:
    """Raises ModelLoadError when the flavour is switched off."""
    if manifest.flavour != "onnx" and not allow_pickle:
        raise ModelLoadError(
            f"the bundle is of flavour {manifest.flavour!r}, which runs code when it is loaded; "
            "ALLOW_PICKLE_MODELS=true takes such models"
        )
