"""Builds what holds versions and changes which of them is served, with the metrics of versions."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.metrics import Metrics
from api.models.crashes import Crashes, CrashLimits
from api.models.mirror import Mirror, accept_from_store
from api.models.model_loader import ModelLoader
from api.models.model_slot import ModelSlot
from api.models.promoter import Promoter
from api.models.upkeep import CrashRecovery, Declared, Proof, Revoker
from api.models.verify import ChildSmokeTest, SmokeTest, Verifier
from api.registry.audit import AuditReader, AuditTrail
from api.registry.ledger import Acceptance
from api.registry.registry import Registry
from api.registry.share import Share
from api.settings import Settings
from shared.clock import MICROS_PER_SECOND, Clock
from shared.keys.store import KeyStore
from shared.storage.build import open_store
from shared.usecase.serving import ServingUseCase

_LABELS = ("version", "activation", "against")
_BY = ("live", "predecessor")
_REASON_CHARACTERS = 200


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


class ComparisonMetrics(Collector):
    """A fresh version beside its predecessor; gauges, because they count from the activation."""

    def __init__(self, models: ModelSlot) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        rows = GaugeMetricFamily(
            "understudy_compared_rows",
            "Rows scored by both a fresh version and its predecessor",
            labels=_LABELS,
        )
        seconds = GaugeMetricFamily(
            "understudy_compared_seconds",
            "Seconds that each model took for these rows",
            labels=(*_LABELS, "by"),
        )
        decisions = GaugeMetricFamily(
            "understudy_compared_decisions",
            "Decisions of each about these rows",
            labels=(*_LABELS, "by", "decision"),
        )
        found = self._models.comparison
        if found is not None and not found.is_over:
            activation = str(found.live.activated_at_us // MICROS_PER_SECOND)
            labels = (found.live.version, activation, found.predecessor.version)
            rows.add_metric(labels, found.rows)
            names = sorted({*found.decisions[0], *found.decisions[1]})
            for by, took, made in zip(_BY, found.seconds, found.decisions, strict=True):
                seconds.add_metric((*labels, by), took)
                for name in names:
                    decisions.add_metric((*labels, by, name), made[name])
        return (rows, seconds, decisions)


class LastRollback(Collector):
    """The last rollback, read from the ledger, so that every worker reports the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "understudy_last_rollback_timestamp_seconds",
            "Time of the last rollback: from which version, to which, and why",
            labels=("left", "to", "reason"),
        )
        ledger = self._registry.ledger
        left = max(ledger.accepted.values(), key=_left_at_us, default=None)
        last = ledger.served_last
        if left is not None and left.rolled_back_at_us is not None and last is not None:
            reason = (left.rolled_back_reason or "")[:_REASON_CHARACTERS]
            at = left.rolled_back_at_us / MICROS_PER_SECOND
            family.add_metric((left.version, last.version, reason), at)
        return (family,)


def _left_at_us(acceptance: Acceptance) -> int:
    return acceptance.rolled_back_at_us or 0
