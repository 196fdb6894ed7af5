"""The parts of a running service, made once by the composition root and passed around."""

from dataclasses import dataclass

from api.database import Database
from api.decisions.view import DecisionViews
from api.http.build import AccessControl
from api.journal.build import Journaling
from api.metrics import Metrics
from api.models.build import ModelParts
from api.rollout.controller import RolloutController
from api.scoring.build import Scoring
from api.scoring.user_locks import MonotonicClock
from api.settings import Settings
from api.tracing.build import Tracing
from api.workers.build import WorkerParts
from shared.clock import MachineClock
from shared.usecase.serving import ServingUseCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything the routes use, one member a package."""

    settings: Settings
    use_case: ServingUseCase
    clock: MonotonicClock
    machine_clock: MachineClock
    metrics: Metrics
    database: Database
    access: AccessControl
    models: ModelParts
    rollout_controller: RolloutController
    journaling: Journaling
    scoring: Scoring
    decisions: DecisionViews
    workers: WorkerParts
    tracing: Tracing
