"""A registry in memory that stands where the scoring API would: it takes what is promoted.

It checks a push as the API does (signature, version), serves nobody, and says so: a probe of
its health answers 200 and is named a stand-in, so that no verdict claims what nobody measured.
"""

from collections.abc import Mapping
from http import HTTPStatus

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from scheduler.scoring_api import BundleRefused, Probe, PushAnswer, Serving, SignedBundle
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.errors import BundleError, SignatureInvalid
from shared.keys.signing import verify

STAND_IN = "stand-in of a replay, not measured"


class LocalRegistry:
    """Implements `ScoringApi` for one process and one replay."""

    def __init__(self, trusted: Mapping[str, Ed25519PublicKey]) -> None:
        self._trusted = trusted
        self._serving: Serving | None = None
        self._accepted: set[Version] = set()

    def restore(self, version: str, sha256: str) -> None:
        """Serve what an earlier process of this replay promoted."""
        self._serving = Serving(version, sha256)
        self._accepted.add(Version.parse(version))

    def current(self) -> Serving | None:
        return self._serving

    def known_versions(self) -> frozenset[Version]:
        return frozenset(self._accepted)

    def bundle(self, version: str) -> SignedBundle:
        raise BundleRefused(f"a replay keeps the bundle of {version} in its own folder only")

    def probe(self, path: str) -> Probe:
        return Probe(path, HTTPStatus.OK, 0.0, STAND_IN)

    def push(
        self,
        raw: bytes,
        signature: str,
        fencing_number: int | None = None,  # noqa: ARG002 - one process, nobody to be fenced off
    ) -> PushAnswer:
        try:
            verify(raw, signature, self._trusted)
            bundle = unpack(raw)
        except SignatureInvalid as error:
            return _refused(HTTPStatus.FORBIDDEN, str(error))
        except BundleError as error:
            return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        version = bundle.manifest.parsed_version
        if any(version <= known for known in self._accepted):
            return _refused(HTTPStatus.CONFLICT, f"{version} is not newer than what was accepted")
        previous = self._serving.version if self._serving else None
        self.restore(str(version), bundle.sha256)
        return PushAnswer(HTTPStatus.OK, str(version), previous, None, "")


def _refused(status: HTTPStatus, why: str) -> PushAnswer:
    return PushAnswer(status, None, None, None, why)
