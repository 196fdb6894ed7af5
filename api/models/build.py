"""Builds what holds versions and changes which of them is served."""

import socket
from dataclasses import dataclass
from functools import partial

from api.metrics import Metrics
from api.models.crashes import Crashes, CrashLimits
from api.models.metrics import ComparisonMetrics, LastRollback
from api.models.mirror import Mirror, accept_from_store
from api.models.model_loader import ModelLoader
from api.models.model_slot import ModelSlot
from api.models.promoter import Promoter
from api.models.upkeep import CrashRecovery, Declared, Proof, Revoker
from api.models.verify import ChildSmokeTest, SmokeTest, Verifier
from api.registry.audit import AuditReader, AuditTrail
from api.registry.registry import Registry
from api.registry.share import Share
from api.settings import Settings
from shared.clock import Clock
from shared.keys.store import KeyStore
from shared.storage.build import open_store
from shared.usecase.serving import ServingUseCase


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The live version, the registry behind it, and what changes either.

    Attributes:
        slot: what is served now; the other parts write it, scoring reads it.
        share: the registry's part in the store; None: this host is on its own.
        mirror: keeps both at one content; in the first worker.
    """

    slot: ModelSlot
    registry: Registry
    loader: ModelLoader
    audit: AuditTrail
    audit_reader: AuditReader
    crashes: Crashes
    crash_recovery: CrashRecovery
    promoter: Promoter
    proof: Proof
    revoker: Revoker
    share: Share | None = None
    mirror: Mirror | None = None


def build_models(
    settings: Settings,
    use_case: ServingUseCase,
    clock: Clock,
    metrics: Metrics,
    *,
    worker: int,
    smoke: SmokeTest | None = None,
) -> ModelParts:
    """Builds the package and loads nothing yet; `smoke` replaces the smoke test in a child."""
    slot = ModelSlot()
    registry = Registry(settings.prod_models_dir, settings.served_well_seconds)
    audit = AuditTrail(settings.prod_models_dir / "audit.jsonl", clock)
    verifier = Verifier(
        use_case,
        KeyStore(settings.keys_dir),
        smoke or _smoke_test(settings),
        clock,
        settings.bundle_max_bytes,
        settings.allow_pickle_models,
    )
    loader = ModelLoader(registry, verifier)
    crashes = _crashes(settings, worker, clock)
    share = _share(
        settings,
        registry,
        verifier=verifier,
        audit=audit,
        clock=clock,
        metrics=metrics,
        worker=worker,
    )
    promoter = Promoter(
        registry=registry,
        verifier=verifier,
        loader=loader,
        slot=slot,
        audit=audit,
        clock=clock,
        metrics=metrics,
        crashes=crashes,
        share=share,
    )
    declared = Declared(settings.served_well_seconds, settings.served_well_rows)
    metrics.registry.register(ComparisonMetrics(slot))
    metrics.registry.register(LastRollback(registry))
    metrics.watch("model_crashes", "Processes that died inside model code", crashes.recent)
    metrics.worker_behind.set_function(lambda: promoter.behind is not None)
    return ModelParts(
        slot=slot,
        registry=registry,
        loader=loader,
        audit=audit,
        audit_reader=AuditReader(registry.audit_path),
        crashes=crashes,
        crash_recovery=CrashRecovery(
            promoter=promoter,
            registry=registry,
            crashes=crashes,
            audit=audit,
            clock=clock,
            metrics=metrics,
        ),
        promoter=promoter,
        proof=Proof(promoter, registry, metrics, clock, declared),
        revoker=Revoker(promoter, registry, audit, clock),
        share=share,
        mirror=Mirror(share, settings.store_poll_seconds) if share and worker == 0 else None,
    )


def _share(
    settings: Settings,
    registry: Registry,
    *,
    verifier: Verifier,
    audit: AuditTrail,
    clock: Clock,
    metrics: Metrics,
    worker: int,
) -> Share | None:
    """None without STORE_URL: then nothing of it is imported or started."""
    store = open_store(settings)
    if store is None:
        return None
    share = Share(
        store,
        registry,
        partial(accept_from_store, verifier),
        audit,
        clock,
        use_case=settings.use_case,
        host=socket.gethostname()[:100],
        max_bytes=settings.bundle_max_bytes,
    )
    registry.shared = share
    if worker == 0:
        metrics.watch("store_away", "1 while the store does not answer", lambda: share.is_away)
        metrics.watch(
            "store_owed", "1 while the store lacks changes of this host", lambda: share.owes
        )
        metrics.watch(
            "store_sequence",
            "Sequence number of the shared state that this host has",
            lambda: share.sequence,
        )
    return share


def _smoke_test(settings: Settings) -> SmokeTest:
    return ChildSmokeTest(
        settings.smoke_timeout_seconds,
        settings.smoke_memory_bytes,
        settings.allow_pickle_models,
    )


def _crashes(settings: Settings, worker: int, clock: Clock) -> Crashes:
    limits = CrashLimits(settings.breaker_crashes, settings.breaker_crash_window_seconds)
    return Crashes(settings.prod_models_dir, worker, settings.api_workers, limits, clock)
