"""Implements `understudy erase`: one entity out of the database, kept sets and kept steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from sqlalchemy import Engine

import usecases
from scheduler.cycle.held_out import HeldOutStore
from scheduler.replay.workspace import HELD_OUT
from scheduler.settings import SchedulerSettings
from scheduler.step_store import ArtefactStore
from scheduler.stores import held_out_store
from shared.clock import SystemClock
from shared.importing.lake import Lake
from shared.rows.tables import logs_of_folder
from shared.tables.archive import FolderArchive
from shared.tables.erasure import digest_of, erase_entity
from understudy.terminal import DataTable

# Time for recent decisions to be drained from the journal into the database.
_DRAIN_SECONDS = 2.0
_STEPS = "kept steps"


@dataclass(frozen=True, slots=True)
class Erased:
    """The number of erased items by table or kind of file."""

    counts: dict[str, int]

    @property
    def is_nothing(self) -> bool:
        return not any(count for name, count in self.counts.items() if name != _STEPS)


def erase(
    engine: Engine,
    settings: SchedulerSettings,
    entity: str,
    reason: str,
    wait: Callable[[float], None] = time.sleep,
) -> Erased:
    """Erase an entity wherever this installation keeps its rows.

    Raises:
        DataUnavailable: the database cannot be written, or the lake does not answer.
        OSError: a kept set or an archived file cannot be read or written.
    """
    logs = logs_of_folder(usecases.declared_folder(settings.use_case))
    counts = erase_entity(engine, logs, entity, SystemClock().now_us(), reason)
    wait(_DRAIN_SECONDS)
    for name, count in erase_entity(engine, logs, entity, SystemClock().now_us(), reason).items():
        counts[name] += count
    # They hold snapshots of the rows, and can be computed again. Always, and before what may fail:
    # after a failed attempt nothing else shows that there was something to erase.
    counts[_STEPS] = ArtefactStore(settings.work_dir, settings.work_max_bytes).clear()
    counts["archive"] = FolderArchive(settings.archive_dir).erase(logs, entity)
    if settings.lake_url:
        counts["lake"] = Lake.at(settings.lake_url).erase(logs, entity)
    counts["held-out sets"] = held_out_store(settings).erase(logs.entity, entity)
    counts["held-out sets of replays"] = sum(
        HeldOutStore(folder, keep=1).erase(logs.entity, entity)
        for folder in sorted(settings.replay_dir.rglob(HELD_OUT))
    )
    return Erased(counts)


def print_erased(console: Console, entity: str, erased: Erased) -> None:
    """Prints what was erased, and which places this command does not reach."""
    if erased.is_nothing:
        console.print(f"nothing is stored of {entity!r}", markup=False)
        return
    table = DataTable("where", "erased", title=f"erased (entity {digest_of(entity)})")
    table.columns[1].justify = "right"
    for name, count in erased.counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    console.print(
        "Not reached: backups, exports, MLflow, and files that were imported. The journal drops "
        "drained rows within an hour of traffic. Served models stay until they are retrained."
    )
