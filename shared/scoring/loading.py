"""Loads a bundle's model by the flavour in its manifest."""

from shared.bundle.archive import Bundle
from shared.bundle.manifest import Manifest
from shared.errors import ModelLoadError
from shared.scoring.model import Model
from shared.scoring.session import OnnxModel


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
