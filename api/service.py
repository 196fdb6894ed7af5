"""A running service: its parts, made once by the composition root, and how they start and stop.

The start recovers pending decisions and restores the model; the stop drains the journal.
"""

from dataclasses import dataclass

import structlog

from api.database import Database
from api.decisions import DecisionViews
from api.http.access import DISK_LOOK_SECONDS, AccessControl
from api.journal.build import Journaling
from api.journal.orphaned import wait_for_orphans
from api.metrics import Metrics
from api.models.build import ModelParts
from api.models.upkeep import PROOF_SECONDS
from api.rollout.controller import RECONCILE_SECONDS, RolloutController
from api.scoring.build import Scoring
from api.scoring.user_locks import MonotonicClock
from api.settings import Settings
from api.tracing.build import Tracing
from api.workers.build import WorkerParts
from api.workers.file_watcher import RETRY_SECONDS
from api.workers.merged_metrics import PUBLISH_SECONDS
from api.workers.roster import REPORT_SECONDS
from native.linux import GIVE_BACK_SECONDS, give_back_freed
from shared.clock import MachineClock
from shared.tables.engine import file_of
from shared.tables.sqlite_file import WATCH_SECONDS
from shared.tables.storage_place import warn_of_doubtful_place
from shared.usecase.serving import ServingUseCase

_log = structlog.get_logger()
# Clock jumps are detected even without requests.
LOOK_SECONDS = 1.0
_EVERYBODYS = "those of anonymous callers become history and training data"
_WHAT_BECOMES_OF_ROWS = {
    "loopback": _EVERYBODYS,
    "private-network": _EVERYBODYS,
    "anywhere": "those of anonymous callers are scored and quarantined",
}


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


def start(service: Service) -> None:
    """Recover the journal, restore the model, start to drain."""
    service.tracing.start()
    # Watch before the restore, so that no change is missed.
    _watch(service)
    warn_of_doubtful_place(service.database.engine.url)
    _recover_decisions(service)
    _restore_model(service)
    service.journaling.drain.start()
    service.use_case.warm_up()
    service.workers.roster.report()
    _adopt_orphans(service)
    service.workers.file_watcher.start()
    if service.models.mirror is not None:
        service.models.mirror.start()
    if service.settings.scoring_auth == "off":
        _warn_of_open_scoring(service)
    _log.info("started", version=service.models.slot.version, use_case=service.use_case.name)


def _watch(service: Service) -> None:
    """The files the watcher follows, and its periodic tasks."""
    watcher, models = service.workers.file_watcher, service.models
    roster, controller = service.workers.roster, service.rollout_controller
    for path in (models.registry.pointer, models.registry.ledger_path):
        watcher.watch(path, roster.catch_up)
    for path in (controller.file.path, models.registry.pointer):
        watcher.watch(path, controller.catch_up)
    watcher.every(RETRY_SECONDS, models.promoter.try_again)
    watcher.every(RECONCILE_SECONDS, controller.settle)
    watcher.every(PROOF_SECONDS, models.proof.look)
    watcher.every(REPORT_SECONDS, roster.report)
    watcher.every(PUBLISH_SECONDS, service.workers.merged_metrics.publish)
    watcher.every(LOOK_SECONDS, service.machine_clock.look)
    watcher.every(GIVE_BACK_SECONDS, give_back_freed)
    watcher.every(DISK_LOOK_SECONDS, service.access.write_quota.look)
    file = file_of(service.database.engine)
    if file is not None:
        watcher.every(WATCH_SECONDS, file.watch)


def _recover_decisions(service: Service) -> None:
    if service.workers.peers is not None:
        service.workers.peers.prepare()
    journal = service.journaling.journal
    journal.open()
    service.scoring.pending.recall(journal.pending(), service.models.registry.thresholds)


def _restore_model(service: Service) -> None:
    models, controller = service.models, service.rollout_controller
    died = models.crashes.open()
    models.crash_recovery.roll_back_crashing_version()
    models.promoter.restore()
    controller.end_crashed(died)
    controller.catch_up()


def _adopt_orphans(service: Service) -> None:
    run_dir = service.workers.run_dir
    if run_dir.number == 0:
        service.journaling.orphaned.start()
    wait_for_orphans(service.settings.journal_dir, run_dir.total)


def _warn_of_open_scoring(service: Service) -> None:
    reach = service.settings.open_scoring_reach
    _log.warning(
        "scoring_is_open",
        routes="scoring and reading need no credentials",
        reach=reach,
        rows=_WHAT_BECOMES_OF_ROWS[reach],
        remedy="set SCORING_AUTH=on unless only this machine can reach the port",
    )


def stop(service: Service) -> None:
    """Store what remains in the database, if it is available."""
    service.scoring.breaker.close()
    if service.models.mirror is not None:
        service.models.mirror.stop()
    service.workers.file_watcher.stop()
    service.rollout_controller.stop()
    service.models.crashes.close()
    service.workers.roster.leave()
    service.journaling.orphaned.stop()
    service.journaling.drain.stop()
    service.journaling.journal.close()
    service.database.dispose()
    service.tracing.close()
    _log.info("stopped", left_in_journal=service.journaling.journal.backlog)
