"""Builds what a worker reports to the others, and how it follows them."""

from dataclasses import dataclass

from api.metrics import Metrics
from api.models.promoter import Promoter
from api.settings import Settings
from api.workers.file_watcher import FileWatcher
from api.workers.merged_metrics import MergedMetrics
from api.workers.peers.network import Peers
from api.workers.roster import WorkerRoster
from api.workers.run_dir import RunDir
from api.workers.worker_context import Heartbeat, WorkerContext
from shared.usecase.rows import RowFields
from shared.usecase.serving import ServingUseCase


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """This worker among all workers.

    Attributes:
        peers: calls between workers; None where there is only one.
    """

    run_dir: RunDir
    peers: Peers | None
    roster: WorkerRoster
    file_watcher: FileWatcher
    merged_metrics: MergedMetrics
    heartbeat: Heartbeat


def build_peers(
    settings: Settings,
    use_case: ServingUseCase,
    run_dir: RunDir,
    metrics: Metrics,
    fields: RowFields,
) -> Peers | None:
    """Builds the calls between workers; no socket is open yet."""
    if run_dir.total == 1:
        return None
    wait_seconds = settings.peer_wait_seconds
    return Peers(run_dir, use_case.request_model, wait_seconds, metrics, fields)


def build_workers(
    context: WorkerContext,
    run_dir: RunDir,
    peers: Peers | None,
    promoter: Promoter,
    metrics: Metrics,
) -> WorkerParts:
    """Builds the roster and its watchers; nothing is written to the run directory yet."""
    metrics.workers.set(run_dir.total)
    metrics.worker_starts.set(context.starts)
    metrics.worker_hangs.inc(context.hangs)
    return WorkerParts(
        run_dir=run_dir,
        peers=peers,
        roster=WorkerRoster(run_dir, promoter),
        file_watcher=FileWatcher(),
        merged_metrics=MergedMetrics(metrics, run_dir),
        heartbeat=Heartbeat(context.heartbeat),
    )
