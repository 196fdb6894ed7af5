"""Registries without a smoke test."""

from api.models.promoter import Promoter
from api.registry.registry import Meta, Registry, StoredVersion
from api.settings import Settings
from api.wiring import build_service
from shared.bundle.archive import unpack
from shared.clock import SystemClock
from tests.api.bundles import Signer
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
    bundle = unpack(raw)
    meta = Meta(
        version="1.0.0",
        sha256=bundle.sha256,
        key_id="key",
        accepted_at_us=1,
        size_bytes=len(raw),
        manifest=bundle.manifest.model_dump(mode="json", exclude={"files"}),
    )
    registry.store(meta, StoredVersion(raw, signer.sign(raw)))
    registry.point_to("1.0.0")
    accepted = registry.ledger.with_accepted(meta.acceptance(), None)
    registry.save(accepted.with_activation("1.0.0", 1))
