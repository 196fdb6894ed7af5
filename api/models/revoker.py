"""Revocation of a version: it is never served again."""

import structlog

from api.models.promoter import Promoter
from api.models.refusals import NoFallback, NotServing, StillServing, VersionUnknown
from api.registry.audit import AuditTrail
from api.registry.registry import Registry
from shared.clock import Clock

_log = structlog.get_logger()
_WRITE_WAIT_SECONDS = 5.0


class Revoker:
    """Bars a version from restart, rollback and push; other workers learn it from the ledger."""

    def __init__(
        self, promoter: Promoter, registry: Registry, audit: AuditTrail, clock: Clock
    ) -> None:
        self._promoter = promoter
        self._registry = registry
        self._audit = audit
        self._clock = clock

    def revoke(self, version: str, reason: str, who: str) -> str:
        """Roll back from a version if it serves, then bar it; returns what is served now.

        Raises:
            VersionUnknown: it was never accepted here.
            StillServing: it serves, and there is no version to roll back to.
            UnderstudyError, OSError: the rollback failed, or nothing could be written.
        """
        return self._promoter.repeated(lambda: self._revoke(version, reason, who))

    def _revoke(self, version: str, reason: str, who: str) -> str:
        if self._serves(version):
            try:
                self._promoter.rollback(None, f"revoked: {reason}", who, leaving=version)
            except (NoFallback, NotServing) as error:
                raise StillServing(f"{error}; push a newer version first") from error
        with self._promoter.writing(_WRITE_WAIT_SECONDS):
            accepted = self._registry.ledger.accepted
            if version not in accepted:
                raise VersionUnknown(version, sorted(accepted))
            if self._serves(version):
                raise StillServing(f"version {version} has come back into service; ask again")
            self._registry.revoke(
                version,
                reason,
                self._clock.now_us(),
                lambda: self._audit.write("revocation", who, reason, version=version),
            )
        # The revoked version may be the fallback in memory.
        self._promoter.catch_up()
        _log.warning(
            "version_revoked", version=version, reason=reason, serving=self._promoter.serving
        )
        return self._promoter.serving

    def _serves(self, version: str) -> bool:
        return version in (self._promoter.serving, self._registry.current())
