"""The champion: the bundle of the live version, kept here or fetched, and the model in it.

A scheduler that starts on an empty disk has no copy, and without the champion's bundle no candidate
can be compared. The bytes are fetched from the API, and accepted only when a key that is trusted
here signed them and their digest is that of the live version. Without them the champion has no
scores.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from scheduler.cycle.candidates import CandidateStore
from scheduler.scoring_api import BundleRefused, ScoringApi, Serving
from shared.bundle.archive import unpack
from shared.bundle.manifest import Manifest
from shared.bundle.version import Version
from shared.errors import BundleError, ModelLoadError, SignatureInvalid, UnderstudyError
from shared.keys.store import Keys, verify
from shared.scoring.model import Model
from shared.scoring.session import load_model
from shared.usecase.serving import FeatureSet

_log = structlog.get_logger()


class BundleUnavailable(UnderstudyError):
    """Raised when the live version's bundle cannot be fetched or trusted; says why."""


def no_keys() -> Keys:
    """Trusts no key, so nothing is fetched: for replays, where the API is a stand-in."""
    return {}


@dataclass(frozen=True, slots=True)
class ServedBundles:
    """Finds the bundles of serving versions.

    Attributes:
        trusted: the keys whose accepted versions load, asked again each time (see `KeyStore`).
    """

    api: ScoringApi
    candidates: CandidateStore
    trusted: Callable[[], Keys] = no_keys

    def bundle(self, serving: Serving) -> bytes:
        """The raw bytes of the live version.

        Raises:
            ApiUnavailable: there is no good copy here, and the API does not answer.
            BundleUnavailable: nor does it give one that holds.
        """
        version = Version.parse(serving.version)
        kept = self.candidates.bundle(version)
        if kept is not None and _is_what_serves(kept, serving):
            return kept
        raw, signature = self._fetched(serving, is_kept=kept is not None)
        if kept is None:
            self._keep(version, raw, signature)
        return raw

    def _fetched(self, serving: Serving, *, is_kept: bool) -> tuple[bytes, str]:
        here = "the copy kept here is not the one that serves" if is_kept else "it is not kept here"
        try:
            signed = self.api.bundle(serving.version)
            verify(signed.raw, signed.signature, self.trusted())
        except BundleRefused as error:
            raise BundleUnavailable(f"{here}, and {error}") from error
        except SignatureInvalid as error:
            raise BundleUnavailable(
                f"{here}, and the API's copy cannot be trusted: {error}; "
                "KEYS_DIR/trust has to hold the public key of the scheduler that signed it"
            ) from error
        if not _is_what_serves(signed.raw, serving):
            raise BundleUnavailable(f"{here}, and the API's copy is not the one that serves")
        _log.info("champion_fetched", version=serving.version, bytes=len(signed.raw))
        return signed.raw, signed.signature

    def _keep(self, version: Version, raw: bytes, signature: str) -> None:
        """Beside the candidates trained here; without room it is fetched again next time."""
        try:
            self.candidates.save_bundle(version, raw)
            self.candidates.save_signature(version, signature)
        except OSError as error:
            _log.warning("champion_not_kept", version=str(version), reason=str(error))


def _is_what_serves(raw: bytes, serving: Serving) -> bool:
    return serving.sha256 in (None, hashlib.sha256(raw).hexdigest())


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
