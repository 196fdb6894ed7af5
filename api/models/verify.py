"""Turns pushed bytes into a loaded model; the signature is verified before anything is parsed."""

from dataclasses import dataclass, replace

from api.models.model_slot import LiveModel, Pace, make_live
from api.models.score_edges import score_edges_of
from api.models.smoke import SmokeTest
from shared.bundle.archive import Bundle, unpack
from shared.clock import Clock
from shared.keys.signing import verify
from shared.keys.store import KeyStore
from shared.scoring.loading import check_allowed, load_model
from shared.scoring.model import check_fits
from shared.usecase.serving import ServingUseCase


@dataclass(frozen=True, slots=True)
class Authentic:
    """An unpacked bundle and the key that signed it."""

    bundle: Bundle
    key_id: str


@dataclass(frozen=True, slots=True)
class Verifier:
    """The checks of a bundle, in order: signature, digests, format, a first score."""

    use_case: ServingUseCase
    keys: KeyStore
    smoke: SmokeTest
    clock: Clock
    max_bytes: int
    allow_pickle: bool = False

    def authenticate(self, raw: bytes, signature: str) -> Authentic:
        """Signature, then digests, then manifest.

        Raises:
            BundleError: says which of them failed.
        """
        key_id = verify(raw, signature, self.keys.trusted_keys())
        return Authentic(unpack(raw, self.max_bytes), key_id)

    def authenticate_stored(self, raw: bytes, signature: str) -> Authentic:
        """The same for what was accepted before; its key may have been retired since.

        Raises:
            BundleError: says what does not hold any more.
        """
        key_id = verify(raw, signature, self.keys.accepted_keys())
        return Authentic(unpack(raw, self.max_bytes), key_id)

    def load_new(self, authentic: Authentic, raw: bytes) -> LiveModel:
        """A model this service has never run: tried in a child process first.

        Raises:
            ModelLoadError: it does not fit, load or score.
        """
        check_fits(authentic.bundle.manifest, self.use_case)
        check_allowed(authentic.bundle.manifest, allow_pickle=self.allow_pickle)
        row_seconds = self.smoke.run(raw)
        return replace(self.load(authentic), pace=Pace(row_seconds))

    def load(self, authentic: Authentic) -> LiveModel:
        """A model that passed the smoke test when it was accepted.

        Raises:
            ModelLoadError: it does not fit or load.
        """
        model = load_model(authentic.bundle, allow_pickle=self.allow_pickle)
        live = make_live(model, self.use_case, self.clock.now_us())
        return replace(live, score_edges=score_edges_of(live.served.components, authentic.bundle))
