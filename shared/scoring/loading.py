"""From a bundle to a model, by the flavour that the manifest names."""

from shared.bundle.archive import Bundle
from shared.errors import ModelLoadError
from shared.scoring.model import Model
from shared.scoring.session import OnnxModel


def load_model(bundle: Bundle, *, allow_pickle: bool) -> Model:
    """Load a bundle whose signature has been verified.

    Raises:
        ModelLoadError: it does not load or score, or its flavour is switched off.
    """
    if bundle.manifest.flavour == "onnx":
        return OnnxModel.load(bundle)
    if not allow_pickle:
        raise ModelLoadError(
            f"the bundle is of flavour {bundle.manifest.flavour!r}, which runs code when it is "
            "loaded; ALLOW_PICKLE_MODELS=true takes such models"
        )
    from shared.scoring.pickled import PickledModel  # noqa: PLC0415 - never imported when off

    return PickledModel.load(bundle)
