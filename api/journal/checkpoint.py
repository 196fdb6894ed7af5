"""How far the journal has been drained: a position, replaced as a whole or not at all."""

from pathlib import Path
from typing import NamedTuple

import orjson

from api.registry.files import write_whole


class Position(NamedTuple):
    """A place between two records."""

    segment: int
    offset: int


class Checkpoint:
    """The file that holds the position."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position:
        """Where to go on; the beginning when there is no readable file.

        Draining twice is harmless, so an unreadable checkpoint costs time only.
        """
        try:
            content = orjson.loads(self._path.read_bytes())
            return Position(int(content["segment"]), int(content["offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Position(0, 0)

    def save(self, position: Position) -> None:
        # Not synced: an older checkpoint after a power cut only repeats what is idempotent.
        content = {"segment": position.segment, "offset": position.offset}
        write_whole(self._path, orjson.dumps(content), durable=False)

    def forget(self) -> None:
        """From the beginning, then: draining twice is harmless. Needs no space."""
        self._path.unlink(missing_ok=True)
