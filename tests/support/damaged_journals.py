"""Journals that are damaged, and what their drain tells."""

from pathlib import Path

from api.journal.journal import Journal
from api.journal.segments import first_between, segment_numbers, segment_path

BOUND = 64 * 1024


class Tells:
    """Counts what a journal tells of damage."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def __call__(self, kind: str) -> None:
        self.kinds.append(kind)


def opened(path: Path, tells: Tells | None = None) -> Journal:
    journal = Journal(path, BOUND, tell_damage=tells or Tells())
    journal.open()
    return journal


def drain(journal: Journal, directory: Path, limit: int = 7) -> list[bytes]:
    """Everything, a batch at a time, as the drain does."""
    drained: list[bytes] = []
    while (span := journal.undrained()) is not None:
        batch = first_between(directory, *span, limit, lambda: None)
        drained += batch.payloads
        journal.release(batch.position, len(batch.payloads), batch.damage)
    return drained


def newest(directory: Path) -> Path:
    return segment_path(directory, segment_numbers(directory)[-1])
