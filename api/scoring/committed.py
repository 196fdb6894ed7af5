"""Replies that leave once their decisions are committed in the database (JOURNAL_COMMIT=database).

Where another host's decision was committed first under an id, the row is looked up again: the reply
tells what the database has, or that the id was decided with another payload.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from api.http.problems import COMMIT_TIMEOUT, DECISION_REFUSED, Problem
from api.journal.drain import Commit, CommitTracker, Fate
from api.scoring.batching import score_isolated
from api.scoring.lane import ScoringLane
from api.scoring.pipeline import ScoringPipeline
from api.scoring.stages import Received, Reply, RowOutcome

Deliver = Callable[[RowOutcome], None]


# Attempts to read the stored decision of a row that is superseded repeatedly.
_MOST_LOOK_UPS = 3


class ReplyHolder:
    """Holds replies until their decisions are committed, or for JOURNAL_COMMIT_SECONDS."""

    def __init__(
        self, pipeline: ScoringPipeline, lane: ScoringLane, commits: CommitTracker
    ) -> None:
        self._pipeline = pipeline
        self._lane = lane
        self._commits = commits
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, received: Received, outcome: RowOutcome, deliver: Deliver) -> None:
        """Deliver the outcome when it may leave; for the event loop, as is `deliver`."""
        self._hold(received, outcome, deliver, self.deadline())

    def deadline(self) -> float:
        """The instant at which a wait that begins now gives up, by `time.monotonic`."""
        return time.monotonic() + self._commits.wait_seconds

    async def committed(
        self, received: Received, outcome: RowOutcome, deadline: float | None = None
    ) -> RowOutcome:
        """The outcome, when it may leave."""
        if _commit_of(outcome) is None:
            return outcome
        found: asyncio.Future[RowOutcome] = asyncio.get_running_loop().create_future()

        def deliver(outcome: RowOutcome) -> None:
            if not found.done():
                found.set_result(outcome)

        self._hold(received, outcome, deliver, deadline or self.deadline())
        return await found

    def wait(
        self, received: Received, outcome: RowOutcome, deadline: float | None = None
    ) -> RowOutcome:
        """The same for a thread of its own, which it blocks."""
        deadline, left = deadline or self.deadline(), _MOST_LOOK_UPS
        while (commit := _commit_of(outcome)) is not None:
            settled = threading.Event()
            if commit.then(settled.set) and not settled.wait(max(0.0, deadline - time.monotonic())):
                return _late()
            if commit.fate is not Fate.SUPERSEDED:
                return _final(outcome, commit.fate)
            left -= 1
            if not left:
                return _late()
            (outcome,) = score_isolated(self._pipeline, [received])
        return outcome

    def _hold(
        self,
        received: Received,
        outcome: RowOutcome,
        deliver: Deliver,
        deadline: float,
        left: int = _MOST_LOOK_UPS,
    ) -> None:
        commit = _commit_of(outcome)
        if commit is None:
            deliver(outcome)
            return
        held = _Held(deliver)

        def settled() -> None:
            if not held.end():
                return
            if commit.fate is not Fate.SUPERSEDED:
                deliver(_final(outcome, commit.fate))
            elif left == 0:
                deliver(_late())
            else:
                self._begin(self._again(received, deliver, deadline, left - 1))

        if commit.then(settled):
            held.give_up_at(deadline)
        else:
            settled()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(
        self, received: Received, deliver: Deliver, deadline: float, left: int
    ) -> None:
        """Answer with the decision that stands; in its turn, as it reads the database."""
        outcomes: list[RowOutcome] = []
        await self._lane.run(lambda: outcomes.extend(score_isolated(self._pipeline, [received])))
        self._hold(received, outcomes[0], deliver, deadline, left)


class _Held:
    """One reply that waits."""

    __slots__ = ("_deliver", "_is_over", "_timer")

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None

    def end(self) -> bool:
        """True if it still waited."""
        if self._is_over:
            return False
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        return True

    def give_up_at(self, deadline: float) -> None:
        if not self._is_over:
            left = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(left, self._give_up)

    def _give_up(self) -> None:
        if self.end():
            self._deliver(_late())


def _commit_of(outcome: RowOutcome) -> Commit | None:
    return outcome.commit if isinstance(outcome, Reply) else None


def _final(outcome: RowOutcome, fate: Fate) -> RowOutcome:
    if fate is Fate.REFUSED:
        detail = "the database does not take this row; it is in the journal's dead-letter file"
        return Problem(DECISION_REFUSED, detail)
    return outcome


def _late() -> Problem:
    return Problem(
        COMMIT_TIMEOUT,
        "the decision is in the journal of this host and not in the database yet; "
        "send the row again with the same id",
        headers={"Retry-After": "2"},
    )
