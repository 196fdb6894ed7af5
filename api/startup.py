"""Starting and stopping: what was in memory comes back, what is in the journal goes out."""

from functools import partial

import structlog

from api.http.write_quota import DISK_LOOK_SECONDS
from api.journal.entries import VERSION, decided_from_record, decode, is_quarantined
from api.journal.sink import Stored
from api.models.crash_recovery import end_crashed_trials, roll_back_crashing_version
from api.models.proof import PROOF_SECONDS
from api.rollout.controller import RECONCILE_SECONDS
from api.scoring.idempotency import quarantine_key
from api.scoring.stages import Recorded
from api.service import Service
from api.workers.file_watcher import RETRY_SECONDS
from api.workers.merged_metrics import PUBLISH_SECONDS
from api.workers.orphaned_journals import wait_for_orphans
from api.workers.roster import REPORT_SECONDS
from native.linux import GIVE_BACK_SECONDS, give_back_freed
from shared.tables.engine import file_of
from shared.tables.sqlite_file import WATCH_SECONDS
from shared.tables.storage_place import warn_of_doubtful_place
from shared.transaction import Label

_log = structlog.get_logger()
# A jump of the clock is noticed when nobody asks for anything, too.
LOOK_SECONDS = 1.0
# Rows forgotten at once: half a millisecond.
_BITE = 500
_EVERYBODYS = "those of anonymous callers become history and training data"
_WHAT_BECOMES_OF_ROWS = {
    "loopback": _EVERYBODYS,
    "private-network": _EVERYBODYS,
    "anywhere": "those of anonymous callers are scored and quarantined",
}


def start(service: Service) -> None:
    """Recover the journal, restore the model, start to drain."""
    # Before the restore: a change meanwhile is not missed.
    for path in (service.registry.pointer, service.registry.ledger_path):
        service.file_watcher.watch(path, service.roster.catch_up)
    for path in (service.rollout_controller.file.path, service.registry.pointer):
        service.file_watcher.watch(path, service.rollout_controller.catch_up)
    service.file_watcher.every(RETRY_SECONDS, service.promoter.try_again)
    service.file_watcher.every(RECONCILE_SECONDS, service.rollout_controller.settle)
    service.file_watcher.every(PROOF_SECONDS, service.proof.look)
    service.file_watcher.every(REPORT_SECONDS, service.roster.report)
    service.file_watcher.every(PUBLISH_SECONDS, service.merged_metrics.publish)
    service.file_watcher.every(LOOK_SECONDS, service.machine_clock.look)
    service.file_watcher.every(GIVE_BACK_SECONDS, give_back_freed)
    warn_of_doubtful_place(service.engine.url)
    if service.peers is not None:
        service.peers.prepare()
    file = file_of(service.engine)
    if file is not None:
        service.file_watcher.every(WATCH_SECONDS, file.watch)
    service.file_watcher.every(DISK_LOOK_SECONDS, service.write_quota.look)
    service.journal.open()
    _recall_pending(service)
    died = service.crashes.open()
    roll_back_crashing_version(service)
    service.promoter.restore()
    end_crashed_trials(service, died)
    service.rollout_controller.catch_up()
    service.drain.start()
    service.use_case.warm_up()
    service.roster.report()
    if service.run_dir.number == 0:
        service.orphaned_journals.start()
    wait_for_orphans(service.settings.journal_dir, service.run_dir.total)
    service.file_watcher.start()
    if service.settings.scoring_auth == "off":
        reach = service.settings.open_scoring_reach
        _log.warning(
            "scoring_is_open",
            routes="scoring and reading need no credentials",
            reach=reach,
            rows=_WHAT_BECOMES_OF_ROWS[reach],
            remedy="set SCORING_AUTH=on unless only this machine can reach the port",
        )
    _log.info("started", version=service.models.version, use_case=service.use_case.name)


def stop(service: Service) -> None:
    """Carry what is left into the database, if it is there."""
    service.breaker.close()
    service.file_watcher.stop()
    service.rollout_controller.stop()
    service.crashes.close()
    service.roster.leave()
    service.orphaned_journals.stop()
    service.drain.stop()
    service.journal.close()
    service.reading.dispose()
    service.engine.dispose()
    _log.info("stopped", left_in_journal=service.journal.backlog)


def on_stored(service: Service, stored: Stored) -> None:
    """The database has these now: drop the copies where scoring runs."""
    if stored.quarantined_ids:
        keys = list(map(quarantine_key, stored.quarantined_ids))
        service.dispatcher(partial(service.cache.stored, keys))
    service.dispatcher(partial(_forget, service, stored, 0))


def _forget(service: Service, stored: Stored, begin: int) -> None:
    """A bite at a time: whoever asks meanwhile is answered between two of them."""
    end = begin + _BITE
    names = stored.transaction_ids[begin:end]
    service.cache.stored(names)
    service.source.forget(names)
    if end < len(stored.transaction_ids):
        service.dispatcher(partial(_forget, service, stored, end))
    elif stored.labels:
        service.source.learned(stored.labels)


def _recall_pending(service: Service) -> None:
    """Decisions that a killed process journaled and never drained count like any other."""
    recalled: list[str] = []
    for payload in service.journal.pending():
        try:
            record = decode(payload)
            if isinstance(record, Label):
                continue
            thresholds = service.registry.thresholds(record[VERSION])
            decided = decided_from_record(record, thresholds)
        except (ValueError, TypeError, KeyError, AttributeError):
            # The drain stores it, or sets it aside and says so.
            continue
        name = decided.transaction.transaction_id
        if is_quarantined(payload):
            name = quarantine_key(name)
        else:
            service.source.remember(decided.transaction)
        service.cache.put([Recorded(name, payload, decided.served)])
        recalled.append(name)
    if service.peers is not None:
        service.peers.claims.claim(recalled)
    if recalled:
        _log.info("journal_recalled", decisions=len(recalled))
