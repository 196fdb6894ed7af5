"""The immutable object that answers are made of: a loaded version bound to a use case."""

import math
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from api.models.pace import Pace
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.model import Model
from shared.usecase.serving import FloatMatrix, FloatVector, ServedModel, ServingUseCase


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A loaded version, ready to score vectors of the use case's whole feature set.

    Attributes:
        columns: which of them the model was trained on, in its order; None: all, as they are.
        pace: how long it takes in this process.
    """

    model: Model
    served: ServedModel
    columns: npt.NDArray[np.intp] | None
    activated_at_us: int
    pace: Pace = field(default_factory=Pace)

    @property
    def version(self) -> str:
        return self.served.version

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Component scores of whole vectors, (rows, features) -> (rows, components)."""
        if self.columns is not None:
            matrix = matrix[:, self.columns]
        began = time.perf_counter()
        scores = self.model.score(matrix)
        self.pace.took(len(matrix), time.perf_counter() - began)
        return scores


def usable(scores: FloatVector) -> bool:
    """Whether every component is finite; cheaper than numpy for a handful of numbers."""
    return all(map(math.isfinite, scores.tolist()))


def check_fits(manifest: Manifest, use_case: ServingUseCase) -> None:
    """Whether this bundle can answer this use case's requests.

    Raises:
        ModelLoadError: says what does not fit.
    """
    features = use_case.feature_set
    if manifest.use_case != use_case.name:
        raise ModelLoadError(f"the bundle is for {manifest.use_case!r}, not {use_case.name!r}")
    major = manifest.parsed_version.major
    if major != use_case.schema_version:
        raise ModelLoadError(
            f"major version {major} means another request schema than {use_case.schema_version}"
        )
    known = features.names_of(manifest.feature_set_version)
    if not known:
        raise ModelLoadError(
            f"the bundle was trained on feature set {manifest.feature_set_version!r}; "
            f"this service computes {' and '.join(map(repr, features.versions))}: train it anew"
        )
    unknown = sorted(set(manifest.feature_names) - set(known))
    if unknown:
        raise ModelLoadError(f"the bundle wants features nobody computes: {unknown}")


def make_live(model: Model, use_case: ServingUseCase, activated_at_us: int) -> LiveModel:
    """Bind a loaded model to the columns it reads.

    Raises:
        ModelLoadError: it does not fit the use case.
    """
    manifest = model.manifest
    check_fits(manifest, use_case)
    names = use_case.feature_set.names
    columns = None
    if manifest.feature_names != names:
        columns = np.array([names.index(name) for name in manifest.feature_names], dtype=np.intp)
    served = ServedModel(manifest.version, manifest.components, dict(manifest.thresholds))
    return LiveModel(model, served, columns, activated_at_us)
