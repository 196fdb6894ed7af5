"""Registries without a smoke test."""

from api.models.promoter import Promoter
from api.registry.registry import Registry
from api.settings import Settings
from api.wiring import build_service
from shared.clock import SystemClock
from tests.api.bundles import Signer, accept
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


def put_into_service(settings: Settings, signer: Signer, raw: bytes) -> None:
    """Make a bundle version 1.0.0 of an empty registry, as if it had been pushed and activated."""
    registry = Registry(settings.prod_models_dir)
    registry.open()
    accept(registry, signer, "1.0.0", raw)
