"""A registry without a smoke test."""

from api.models.promoter import Promoter
from api.settings import Settings
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.tiny import TinyUseCase


class NoSmoke:
    """Stands in for the child process, which has nothing to do with the registry."""

    def run(self, raw: bytes) -> None: ...


def promoter_of(settings: Settings) -> Promoter:
    promoter = build_service(
        settings, TinyUseCase(), SystemClock(), smoke=NoSmoke()
    ).models.promoter
    promoter.restore()
    return promoter
