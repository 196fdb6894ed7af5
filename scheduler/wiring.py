"""The wiring: which part gets which; nothing is started here."""

from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.held_out import HeldOutStore
from scheduler.cycle.interruption import Interruption
from scheduler.cycle.parts import Parts
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.heartbeat import Heartbeat
from scheduler.publisher import Publisher
from scheduler.schedule.first_model import REQUESTED_BY, FirstModel
from scheduler.schedule.jobs import DRIFT, RETRAINING, JobRunner
from scheduler.schedule.table import DatabaseScheduleTable, FixedSchedule
from scheduler.schedule.watcher import ScheduleWatcher
from scheduler.schedule.worker import Worker
from scheduler.scoring_api import HttpScoringApi
from scheduler.service import Tick
from scheduler.settings import OFF, Settings
from scheduler.surroundings import push_token
from scheduler.tracking.tracker import Tracker
from scheduler.tracking.wiring import tracker_for
from shared.clock import SystemClock
from shared.keys.signing import sign
from shared.keys.store import KeyStore
from shared.tables.runs import request_run
from shared.usecase.learning import LearningUseCase

HEARTBEAT_SECONDS = 5.0
FIRST_MODEL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wired:
    """What main needs to know of the wiring."""

    ticks: tuple[Tick, ...]
    worker: Worker
    recorder: RunRecorder


def wire(
    settings: Settings, engine: Engine, use_case: LearningUseCase, interruption: Interruption
) -> Wired:
    """Put the parts together; starts nothing."""
    log, clock = structlog.get_logger(), SystemClock()
    parts = _parts(settings, engine, use_case, interruption, log)
    recorder = RunRecorder(engine, log)
    watcher = ScheduleWatcher(DatabaseScheduleTable(engine), clock, log)
    runners: dict[str, JobRunner] = {RETRAINING: CycleRunner(parts, recorder)}
    worker = Worker(
        engine=engine,
        runners=runners,
        recorder=recorder,
        watcher=watcher,
        clock=clock,
        log=log,
    )
    first_model = FirstModel(
        parts.api,
        lambda instant_us: request_run(engine, RETRAINING, instant_us, REQUESTED_BY),
        lambda: worker.running is not None,
        clock,
        log,
    )
    ticks = [
        Tick("heartbeat", Heartbeat(settings.heartbeat_file, clock).beat, HEARTBEAT_SECONDS),
        Tick("schedule", watcher.tick, settings.config_poll_seconds),
        Tick("first_model", first_model.tick, FIRST_MODEL_SECONDS),
        Tick("worker", worker.tick, settings.claim_poll_seconds, is_long=True),
    ]
    if DRIFT in runners and settings.drift_interval != OFF:
        fixed = FixedSchedule(engine, DRIFT, settings.drift_interval)
        drift = ScheduleWatcher(fixed, clock, log, DRIFT)
        ticks.append(Tick("drift_schedule", drift.tick, settings.config_poll_seconds))
    return Wired(tuple(ticks), worker, recorder)


def _parts(
    settings: Settings,
    engine: Engine,
    use_case: LearningUseCase,
    interruption: Interruption,
    log: FilteringBoundLogger,
) -> Parts:
    keys = KeyStore(settings.keys_dir)
    log.info("signing_key", key_id=keys.ensure_signing_key())
    api = HttpScoringApi(
        str(settings.api_url),
        push_token(settings),
        settings.api_timeout_seconds,
        settings.push_timeout_seconds,
    )
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
    )


def _tracker(settings: Settings, interruption: Interruption, log: FilteringBoundLogger) -> Tracker:
    uri = settings.mlflow_tracking_uri
    return tracker_for(
        uri.get_secret_value() if uri else None,
        settings.mlflow_wait_seconds,
        lambda: interruption.requested,
        log,
    )
