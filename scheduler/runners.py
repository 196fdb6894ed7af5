"""The wiring of a child process: who carries out which job; nothing is started here."""

from collections.abc import Mapping

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.parts import Parts
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.drift.reports import DriftReports
from scheduler.drift.runner import DriftParts, DriftRunner
from scheduler.publisher import Publisher
from scheduler.schedule.jobs import DRIFT, RETRAINING, JobRunner
from scheduler.settings import Settings
from scheduler.surroundings import scoring_api
from scheduler.tracking.tracker import Tracker
from scheduler.tracking.wiring import tracker_for
from scheduler.work.code import code_digest
from scheduler.work.kept import Work
from scheduler.work.store import ArtefactStore
from shared.clock import SystemClock
from shared.keys.signing import sign
from shared.keys.store import KeyStore
from shared.usecase.learning import LearningUseCase


def runners(
    settings: Settings,
    engine: Engine,
    use_case: LearningUseCase,
    recorder: RunRecorder,
    *,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> Mapping[str, JobRunner]:
    """Every job by its name."""
    parts = _parts(settings, engine, use_case, interruption, log)
    checks = DriftParts(
        use_case=use_case,
        engine=engine,
        clock=parts.clock,
        api=parts.api,
        served=parts.served,
        reports=DriftReports(settings.drift_reports_dir, settings.drift_reports_kept),
        interruption=interruption,
        log=log,
        window_days=settings.drift_window_days,
        cooldown_days=settings.drift_cooldown_days,
    )
    return {RETRAINING: CycleRunner(parts, recorder), DRIFT: DriftRunner(checks, recorder)}


def _parts(
    settings: Settings,
    engine: Engine,
    use_case: LearningUseCase,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> Parts:
    keys, api = KeyStore(settings.keys_dir), scoring_api(settings)
    keys.ensure_signing_key()
    store = ArtefactStore(settings.work_dir, settings.work_max_bytes)
    return Parts(
        use_case=use_case,
        engine=engine,
        clock=SystemClock(),
        api=api,
        publisher=Publisher(api, lambda raw: sign(raw, keys.private_key())),
        candidates=CandidateStore(settings.retrained_models_dir, settings.candidates_kept),
        held_out=HeldOutStore(settings.test_data_dir, settings.held_out_sets_kept),
        interruption=interruption,
        log=log,
        latency_budget_ms=settings.latency_budget_ms,
        seed=settings.training_seed,
        tracker=_tracker(settings, interruption, log),
        work=Work(store, code_digest(use_case), log),
        lease_seconds=settings.lease_seconds,
        allow_pickle=settings.allow_pickle_models,
        trusted=keys.accepted_keys,
    )


def _tracker(settings: Settings, interruption: Interruption, log: FilteringBoundLogger) -> Tracker:
    uri = settings.mlflow_tracking_uri
    return tracker_for(
        uri.get_secret_value() if uri else None,
        settings.mlflow_wait_seconds,
        lambda: interruption.requested,
        log,
    )
