"""Versions on disk as models in memory: which there are, and in which order to try them."""

import structlog

from api.models.loaded import LiveModel
from api.models.verify import Verifier
from api.registry.registry import Registry
from api.smoke import check
from shared.bundle.version import Version
from shared.errors import DigestMismatch, ModelLoadError, UnderstudyError

_log = structlog.get_logger()


class Shelf:
    """Loads what was accepted before; its signature is checked again each time."""

    def __init__(self, registry: Registry, verifier: Verifier) -> None:
        self._registry = registry
        self._verifier = verifier

    def load(self, version: str) -> LiveModel:
        """Raises UnderstudyError or OSError when it does not load any more."""
        if self._registry.ledger.is_revoked(version):
            raise ModelLoadError(f"version {version} is revoked")
        stored = self._registry.read(version)
        authentic = self._verifier.authenticate_stored(stored.raw, stored.signature)
        accepted = self._registry.ledger.accepted.get(version)
        if accepted is None or accepted.sha256 != authentic.bundle.sha256:
            # Signed once is not enough: an older bundle put in this one's place is signed too.
            raise DigestMismatch(f"what is stored as {version} is not what was accepted")
        return self._verifier.load(authentic)

    def load_and_try(self, version: str) -> LiveModel:
        """Load what another process accepted, and score a few rows with it.

        Raises:
            UnderstudyError, OSError: it does not load or score here.
        """
        model = self.load(version)
        try:
            check(model.model)
        except ValueError as error:
            raise ModelLoadError(str(error)) from error
        return model

    def load_if_possible(self, version: str) -> LiveModel | None:
        try:
            return self.load(version)
        except (UnderstudyError, OSError) as error:
            _log.error("version_does_not_load", version=version, error=str(error))
            return None

    def versions(self) -> list[str]:
        """What is on disk, newest first."""
        return sorted(self._registry.stored(), key=Version.parse, reverse=True)

    def fallback_for(self, version: str) -> str | None:
        return self._registry.ledger.fallback_for(version, self._registry.stored())

    def restore_order(self) -> list[str]:
        """The current version, then the newest that were accepted and not stepped back from."""
        stored, ledger = self.versions(), self._registry.ledger
        current = self._registry.current()
        good = [v for v in stored if ledger.served_well(v)]
        first = [current] if current in stored else []
        return [*first, *(version for version in good if version != current)]
