"""Builds the controller of rollouts."""

from functools import partial

from api.metrics import Metrics
from api.models.build import ModelParts
from api.rollout.arm_counts import arms_dir
from api.rollout.arm_statistics import RolloutCollector
from api.rollout.controller import RolloutController
from api.rollout.host_counts import HostCounts
from api.rollout.reconciler import ShadowLimits, TrialFactory
from api.settings import Settings
from api.workers.run_dir import RunDir
from shared.clock import Clock
from shared.usecase.serving import ServingUseCase


def build_rollout_controller(
    settings: Settings,
    use_case: ServingUseCase,
    models: ModelParts,
    *,
    clock: Clock,
    run_dir: RunDir,
    metrics: Metrics,
) -> RolloutController:
    """Builds the controller; nothing is read from disk yet."""
    limits = ShadowLimits(
        settings.shadow_queue_bytes,
        settings.shadow_memory_bytes,
        settings.shadow_hang_seconds,
        settings.allow_pickle_models,
    )
    trials = TrialFactory(
        use_case,
        models.registry,
        models.loader,
        models.crashes,
        arms_dir(settings.run_dir),
        limits,
    )
    controller = RolloutController(
        registry=models.registry,
        promoter=models.promoter,
        slot=models.slot,
        trials=trials,
        audit=models.audit,
        clock=clock,
        run_dir=run_dir,
    )
    metrics.registry.register(RolloutCollector(controller))
    if models.share is not None and models.mirror is not None:
        counts = HostCounts(models.share.store, settings.run_dir, controller.counters_dir, clock)
        models.mirror.also(partial(_exchange, counts, controller))
    return controller


def _exchange(counts: HostCounts, controller: RolloutController) -> None:
    rollout = controller.rollout
    counts.exchange(None if rollout is None else rollout.stage_key)
