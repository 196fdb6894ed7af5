"""The interface of loaded models of any flavour, and the check that a bundle fits a use case."""

from typing import Protocol

from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.usecase.serving import FeatureSet, FloatMatrix


class Model(Protocol):
    """A bundle that has been loaded and has scored."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def sha256(self) -> str: ...

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Component scores, (rows, features) -> (rows, components), float32."""
        ...


class Served(Protocol):
    """The use case that a bundle has to fit."""

    @property
    def name(self) -> str: ...

    @property
    def schema_version(self) -> int: ...

    @property
    def feature_set(self) -> FeatureSet: ...


def check_fits(manifest: Manifest, use_case: Served) -> None:
    """Checks that this bundle can answer this use case's requests.

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
            f"this service computes {' and '.join(map(repr, features.versions))}: retrain it"
        )
    unknown = sorted(set(manifest.feature_names) - set(known))
    if unknown:
        raise ModelLoadError(
            f"the bundle needs features that this service does not compute: {unknown}"
        )
