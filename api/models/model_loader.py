"""Loads versions from the registry: which there are, and in which order to try them."""

from dataclasses import replace

import structlog

from api.models.model_slot import LiveModel, Pace
from api.models.verify import Authentic, Verifier
from api.registry.registry import Registry
from api.smoke import check
from shared.bundle.archive import Bundle
from shared.bundle.version import Version
from shared.errors import DigestMismatch, ModelLoadError, UnderstudyError

_log = structlog.get_logger()
_NAMED = 5


class ModelLoader:
    """Loads what was accepted before; its signature is checked again each time."""

    def __init__(self, registry: Registry, verifier: Verifier) -> None:
        self._registry = registry
        self._verifier = verifier

    def load(self, version: str) -> LiveModel:
        """Raises UnderstudyError or OSError when it does not load any more."""
        authentic, size_bytes = self._authentic(version)
        model = self._verifier.load(authentic)
        self._describe(authentic, size_bytes)
        return model

    def bundle(self, version: str) -> Bundle:
        """Its files, whose signature and digests hold.

        Raises:
            UnderstudyError, OSError: it cannot be read any more, or is not what was accepted.
        """
        return self._authentic(version)[0].bundle

    def _authentic(self, version: str) -> tuple[Authentic, int]:
        """The bytes that were accepted as this version, and their size."""
        if self._registry.ledger.is_revoked(version):
            raise ModelLoadError(f"version {version} is revoked: {self._why_revoked(version)}")
        stored = self._registry.read(version)
        authentic = self._verifier.authenticate_stored(stored.raw, stored.signature)
        accepted = self._registry.ledger.accepted.get(version)
        if accepted is None or accepted.sha256 != authentic.bundle.sha256:
            # A valid signature is not enough: an older signed bundle could have replaced this one.
            raise DigestMismatch(f"what is stored as {version} is not what was accepted")
        if authentic.bundle.manifest.version != version:
            raise DigestMismatch(f"what is stored as {version} is another version")
        return authentic, len(stored.raw)

    def load_and_try(self, version: str) -> LiveModel:
        """Load what another process accepted, and score a few rows with it.

        Raises:
            UnderstudyError, OSError: it does not load or score here.
        """
        model = self.load(version)
        try:
            row_seconds = check(model.model)
        except ValueError as error:
            raise ModelLoadError(str(error)) from error
        return replace(model, pace=Pace(row_seconds))

    def load_if_possible(self, version: str) -> LiveModel | None:
        try:
            return self.load(version)
        except (UnderstudyError, OSError) as error:
            _log.error("version_does_not_load", version=version, error=str(error))
            return None

    def versions(self) -> list[str]:
        """The versions on disk, newest first."""
        return sorted(self._registry.stored(), key=Version.parse, reverse=True)

    def fallback_for(self, version: str) -> str | None:
        return self._registry.fallback_for(version)

    def barred(self, live: str) -> str:
        """The other versions on disk, and why a rollback does not go to each by itself."""
        others = [self._barred(version) for version in self.versions() if version != live]
        return "; ".join(others[:_NAMED]) or "no other version is on disk"

    def _barred(self, version: str) -> str:
        ledger = self._registry.ledger
        accepted = ledger.accepted.get(version)
        if ledger.is_revoked(version):
            return f"{version} is revoked: {self._why_revoked(version)}"
        if accepted is not None and ledger.was_left(version):
            return (
                f"{version} was rolled back ({accepted.rolled_back_reason}) and can be served by "
                "name"
            )
        return f"{version} has never served and can be served by name"

    def _why_revoked(self, version: str) -> str | None:
        return self._registry.ledger.accepted[version].revoked_reason

    def is_proven(self, version: str) -> bool:
        """True if the version served well before its present time in service."""
        return self._registry.ledger.is_proven(version)

    def restore_order(self) -> list[str]:
        """The current version, else what served last; then those that a rollback may go to."""
        stored, last = self._registry.stored(), self._registry.ledger.served_last
        first = self._registry.current()
        if first not in stored and last is not None:
            first = last.version
        wanted = (first, *self._registry.return_order())
        return list(dict.fromkeys(v for v in wanted if v is not None and v in stored))

    def _describe(self, authentic: Authentic, size_bytes: int) -> None:
        """A description that was lost or damaged comes from the bundle, whose signature held."""
        manifest, ledger = authentic.bundle.manifest, self._registry.ledger
        if self._registry.meta(manifest.version) is not None:
            return
        meta = authentic.meta(ledger.accepted[manifest.version].accepted_at_us, size_bytes)
        try:
            self._registry.describe(meta)
        except OSError as error:
            _log.warning("description_not_written", version=manifest.version, error=str(error))
