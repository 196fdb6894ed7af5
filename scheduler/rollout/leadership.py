"""Who drives: one scheduler at a time, and its number proves it."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from shared.tables.leadership import take_leadership

LEADERSHIP = "rollout"


class LeadershipLease(Protocol):
    """The right to drive."""

    def take(self) -> int | None:
        """The fencing number to drive with; None: another scheduler drives.

        Raises:
            DataUnavailable: nobody can tell.
        """
        ...


@dataclass(frozen=True, slots=True)
class DatabaseLease:
    """A lease in the database, extended at each look."""

    engine: Engine
    owner: str
    seconds: float

    def take(self) -> int | None:
        return take_leadership(self.engine, LEADERSHIP, self.owner, self.seconds)
