"""The champion: what the API serves, and its bundle, as it can be scored here."""

from dataclasses import dataclass

from scheduler.cycle.served_bundle import BundleUnavailable, ServedBundles
from shared.bundle.archive import unpack
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.errors import BundleError, ModelLoadError
from shared.scoring.loading import load_model
from shared.scoring.model import Model
from shared.usecase.serving import FeatureSet


@dataclass(frozen=True, slots=True)
class Champion:
    """The live version; `model` is None when it cannot be scored, and then the reason says why.

    Attributes:
        raw: the bundle that `model` was loaded from.
    """

    version: Version
    model: Model | None
    unscorable_reason: str | None = None
    raw: bytes | None = None

    @property
    def manifest(self) -> Manifest | None:
        return self.model.manifest if self.model else None


def find_champion(
    bundles: ServedBundles,
    feature_set: FeatureSet,
    *,
    allow_pickle: bool = False,
) -> Champion | None:
    """The champion, or None when the API serves no model yet.

    Raises:
        ApiUnavailable: no process could report the live version or send its bundle.
    """
    serving = bundles.api.current()
    if serving is None:
        return None
    version = Version.parse(serving.version)
    try:
        raw = bundles.bundle(serving)
        model = load_model(unpack(raw), allow_pickle=allow_pickle)
    except (BundleUnavailable, BundleError, ModelLoadError) as error:
        return Champion(version, None, str(error))
    mismatch = _mismatch(model, feature_set)
    return Champion(version, None if mismatch else model, mismatch, raw)


def _mismatch(model: Model, feature_set: FeatureSet) -> str | None:
    """The reason this copy carries no information about the live version, or None."""
    known = feature_set.names_of(model.manifest.feature_set_version)
    if not known:
        return f"it needs feature set {model.manifest.feature_set_version}"
    unknown = set(model.manifest.feature_names) - set(known)
    if unknown:
        return f"it needs unknown features: {', '.join(sorted(unknown))}"
    return None
