"""The interface of loaded models of any flavour."""

from typing import Protocol

from shared.bundle.manifest import Manifest
from shared.usecase.serving import FloatMatrix


class Model(Protocol):
    """A bundle that has been loaded and has scored."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def sha256(self) -> str: ...

    def score(self, matrix: FloatMatrix) -> FloatMatrix:
        """Component scores, (rows, features) -> (rows, components), float32."""
        ...
