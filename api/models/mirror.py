"""The mirror: a thread that keeps this host's registry and the store at one content.

It runs in the first worker of each host, only where STORE_URL is set. The workers follow the
registry's files as they always do.
"""

import threading
import time
from collections.abc import Callable

import structlog

from api.models.verify import Verifier
from api.registry.ledger import Acceptance
from api.registry.share import Share
from api.registry.stored_version import Meta, StoredVersion
from shared.errors import BundleError, DigestMismatch
from shared.storage.object_store import StoreAway, WriteConflict

_log = structlog.get_logger()
_TIDY_SECONDS = 3_600.0


class Mirror:
    """Looks at the shared state about once a second."""

    def __init__(self, share: Share, poll_seconds: float) -> None:
        self._share = share
        self._also: list[Callable[[], None]] = [self._tidy]
        self._tidy_at = time.monotonic() + _TIDY_SECONDS
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._problem: str | None = None

    def also(self, work: Callable[[], None]) -> None:
        """Call this after each look at a store that answers; before `start`."""
        self._also.append(work)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing of this runs any more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """One look; a problem is logged when it begins and when it is over."""
        try:
            self._share.sync()
            for work in self._also:
                work()
        except WriteConflict:
            return  # another host wrote first: the next poll reads its state
        except OSError as error:
            self._report(error)
        except Exception:  # noqa: BLE001 - the thread lives on
            _log.exception("mirror_failed")
        else:
            if self._problem is not None:
                _log.info("store_back", sequence=self._share.sequence)
            self._problem = None

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.look()

    def _tidy(self) -> None:
        """Once an hour: bundles that no host needs any more, and those that the store lost."""
        now = time.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_SECONDS
            self._share.tidy()

    def _report(self, error: OSError) -> None:
        problem = error.strerror or str(error)
        kind = "away" if isinstance(error, StoreAway) else problem
        if kind != self._problem:
            _log.error("store_not_usable", problem=problem, owed=self._share.owes)
        self._problem = kind


def accept_from_store(verifier: Verifier, accepted: Acceptance, stored: StoredVersion) -> Meta:
    """The description of a bundle whose signature and digest hold: a store is not trusted.

    Raises:
        BundleError: says what does not hold.
    """
    authentic = verifier.authenticate_stored(stored.raw, stored.signature)
    manifest = authentic.bundle.manifest
    if authentic.bundle.sha256 != accepted.sha256:
        raise DigestMismatch(f"the store's {accepted.version} is not what was accepted")
    if manifest.version != accepted.version:
        raise BundleError(f"the store's {accepted.version} is version {manifest.version}")
    return authentic.meta(accepted.accepted_at_us, len(stored.raw))
