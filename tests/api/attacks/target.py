"""The service that is attacked."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from api.settings import Settings
from tests.api.attacks.attack import Target
from tests.api.bundles import Signer
from tests.api.server import Running

SERVING = "1.0.1"
FENCING = 7
# Small, so that an attack on it need not be large.
BUNDLE_MAX_BYTES = 4 * 1024 * 1024


@contextmanager
def prepared(settings: Settings, signer: Signer) -> Iterator[Target]:
    """Serves SERVING, pushed with the fencing number FENCING; every route wants credentials."""
    closed = settings.model_copy(
        update={
            "scoring_auth": "on",
            "failed_attempts_per_minute": 0,
            "changes_per_minute": 0,
            "bundle_max_bytes": BUNDLE_MAX_BYTES,
        }
    )
    with Running(closed) as server:
        answer: httpx.Response = server.push(
            signer.bundle(SERVING), signer, **{"X-Fencing-Number": str(FENCING)}
        )
        answer.raise_for_status()
        yield Target(server, signer, SERVING)
