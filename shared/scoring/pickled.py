"""The cloudpickle flavour: any Python object that is called with a matrix and answers scores.

Loading a pickle runs whatever is in it. This module is imported only by `load_model`, only
when ALLOW_PICKLE_MODELS is on, and gets only bytes whose signature and digests have held.
"""

import importlib.util
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.bundle.archive import Bundle
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.library_versions import PICKLE, check_library_versions
from shared.usecase.serving import FloatMatrix


@dataclass(frozen=True, slots=True)
class PickledModel:
    """A loaded bundle."""

    manifest: Manifest
    sha256: str
    _score: Any

    @classmethod
    def load(cls, bundle: Bundle) -> "PickledModel":
        """Unpickle the object and have it score two rows.

        Raises:
            ModelLoadError: no object, trained with other versions of its libraries, not loadable
                here, or not the scores it declares.
        """
        raw = bundle.files.get(PICKLE)
        if raw is None:
            raise ModelLoadError(f"the bundle has no {PICKLE}")
        if importlib.util.find_spec("cloudpickle") is None:
            raise ModelLoadError("cloudpickle is not installed; see requirements/pickle.txt")
        manifest = bundle.manifest
        check_library_versions(raw, manifest.frameworks, manifest.python_version)
        try:
            scorer = pickle.loads(raw)  # noqa: S301 - signed, and switched on by the operator
        except Exception as error:
            raise ModelLoadError(f"{PICKLE} does not load: {error}") from error
        model = cls(manifest, bundle.sha256, scorer)
        try:
            model.score(np.zeros((2, len(manifest.feature_names)), dtype=np.float32))
        except Exception as error:
            raise ModelLoadError(f"{PICKLE} does not score: {error}") from error
        return model

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Raises whatever the object raises; ValueError when its answer has another shape."""
        scores = np.asarray(self._score(matrix), dtype=np.float32)
        wanted = (len(matrix), len(self.manifest.components))
        if scores.shape != wanted:
            raise ValueError(f"{PICKLE} answers {scores.shape} where {wanted} is due")
        return scores
