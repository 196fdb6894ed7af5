"""A pool of connections within a limit: the one that holds a place for least makes room."""

import asyncio
import heapq
from collections import Counter
from enum import IntEnum
from typing import Protocol

_SWEEP_SECONDS = 0.5
# Connections dropped at once when there are too many: the search takes a millisecond, and so
# does dropping each connection whose responses fill the kernel's buffers.
_DROPPED_AT_ONCE = 10


class ConnectionState(IntEnum):
    """The state of a connection; those with lower values are closed first."""

    REFUSED = 0
    # no complete request yet
    UNPROVEN = 1
    # responses wait for a caller that does not read
    UNREAD = 2
    IDLE = 3
    SENDING = 4
    WAITING = 5


class Connection(Protocol):
    """The interface of a connection that the pool uses."""

    heard_at: float

    @property
    def standing(self) -> ConnectionState: ...

    def look(self, now: float) -> None:
        """Close it, if it has waited too long."""
        ...

    def drop(self) -> None:
        """Close it now, whatever is still to be sent."""
        ...


class ConnectionPool:
    """The open connections of a process; looks at all of them twice a second.

    Attributes:
        refused: how often, by reason.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.refused: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Take one in, in the place of those silent for longest when there are too many."""
        if len(self._open) >= self._limit and not self._make_room():
            self.refused["connections"] += 1
            return False
        self._open.add(connection)
        if self._timer is None:
            self._sweep_soon()
        return True

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)

    def _make_room(self) -> bool:
        least = heapq.nsmallest(_DROPPED_AT_ONCE, self._open, key=_worth)
        dropped = [found for found in least if found.standing is not ConnectionState.WAITING]
        for connection in dropped:
            self.refused["made-room"] += 1
            self._open.discard(connection)
            connection.drop()
        return bool(dropped)

    def _sweep_soon(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_SWEEP_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for connection in list(self._open):
            connection.look(now)
        if self._open:
            self._sweep_soon()


def _worth(connection: Connection) -> tuple[ConnectionState, float]:
    return connection.standing, connection.heard_at
