"""The rollout driver: reads the rollout's state, decides, records the decision, and carries it out.

All state is the API's: the stage, its age, its figures. A scheduler that is killed between any two
of these steps reads it again after its restart and continues. Of several schedulers one drives; its
fencing number proves to the API that no other has taken over since.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import ROLLOUT
from scheduler.rollout.look import Outcomes, look_from
from scheduler.rollout.outcomes import NoOutcomes, OutcomeSource
from scheduler.rollout.stage import (
    RolloutPolicy,
    StageAction,
    StageDecision,
    decision_to_json,
    judge_stage,
    limits_of,
)
from scheduler.schedule.outage_log import STARTING_SECONDS, OutageLog
from scheduler.scoring_api import ApiUnavailable, StepAnswer
from shared.clock import Clock, isoformat, to_micros
from shared.contracts.rollouts import Action, RolloutRequest, RolloutView
from shared.errors import DataUnavailable, UnderstudyError
from shared.system.files import append_line, make_folder
from shared.tables.leases import take_leadership
from shared.tables.rollout_looks import StoredLook

# The name of the driver's lease: one scheduler drives at a time.

LEADERSHIP = "rollout"


class LeadershipLease(Protocol):
    """The right to drive."""

    def take(self) -> int | None:
        """The fencing number to drive with; None: another scheduler drives.

        Raises:
            DataUnavailable: the lease cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class DatabaseLease:
    """A lease in the database, extended at each look."""

    engine: Engine
    owner: str
    seconds: float
    duty: str = LEADERSHIP

    def take(self) -> int | None:
        return take_leadership(self.engine, self.duty, self.owner, self.seconds)


# The rollout of the API: its reported state, and the request that advances it.

_ACTIONS = {
    StageAction.ADVANCE: Action.ADVANCE,
    StageAction.PROMOTE: Action.PROMOTE,
    StageAction.ROLL_BACK: Action.ABORT,
}


class RolloutApi(Protocol):
    """The part of the API that the driver uses. Both methods raise ApiUnavailable."""

    def rollout(self) -> RolloutView | None:
        """The `rollout` member of GET /current_model; None: nothing is on trial."""
        ...

    def update_rollout(
        self, request: RolloutRequest, fencing_number: int | None = None
    ) -> StepAnswer:
        """POST /update_rollout; refused when a greater number was there before."""
        ...


def request_of(decision: StageDecision) -> RolloutRequest:
    """The request that carries out a decision.

    It names the share it was decided at: a step that comes too late, or twice, is refused.
    """
    return RolloutRequest(
        action=_ACTIONS[decision.step],
        version=decision.look.version,
        share_percent=decision.share_percent,
        from_share_percent=decision.look.share_percent,
        reason=f"{decision.code}: {decision.reason}"[:500],
    )


class RolloutRecord:
    """Appends to `retrained_models/X.Y.Z/rollout.jsonl`.

    Each line holds its look and its policy, so it can be decided again alone: `replay` in
    `scheduler.rollout.stage`. The database has the series of looks, which people see as it grows.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, decision: StageDecision, now_us: int) -> None:
        """Writes the record and syncs it to disk before it returns.

        Raises:
            OSError: it could not be kept.
        """
        folder = self._root / decision.look.version
        make_folder(folder)
        line = {"at": isoformat(now_us), **decision_to_json(decision)}
        append_line(folder / ROLLOUT, json.dumps(line, allow_nan=False).encode())


KeepLook = Callable[[StoredLook], None]


def keep_no_look(_look: StoredLook) -> None:
    """Looks are not stored."""


def stored_look(decision: StageDecision, began_at_us: int, now_us: int) -> StoredLook:
    """A look with its decision, as the database keeps it."""
    look = decision.look
    arms = {"candidate": asdict(look.candidate), "champion": asdict(look.champion_arm)}
    return StoredLook(
        version=look.version,
        champion=look.champion,
        began_at_us=began_at_us,
        looked_at_us=now_us,
        mode=look.mode,
        share_percent=look.share_percent,
        step=decision.step.value,
        code=decision.code,
        reason=decision.reason,
        arms=arms,
        tests=limits_of(decision),
    )


class RolloutDriver:
    """Runs every few seconds; drives every rollout, whether a cycle or a person began it."""

    def __init__(
        self,
        *,
        api: RolloutApi,
        policy: RolloutPolicy,
        record: RolloutRecord,
        lease: LeadershipLease,
        clock: Clock,
        log: FilteringBoundLogger,
        keep: KeepLook = keep_no_look,
        outcomes: OutcomeSource | None = None,
    ) -> None:
        """`keep` stores every look; it may raise DataUnavailable, which changes no step."""
        self._outcomes = outcomes or NoOutcomes()
        self._no_outcomes = OutageLog("rollout_outcomes", log)
        self._keep = keep
        self._api = api
        self._policy = policy
        self._record = record
        self._lease = lease
        self._clock = clock
        self._log = log
        self._outage = OutageLog("rollout_api", log, STARTING_SECONDS)
        self._no_lease = OutageLog("rollout_lease", log)
        self._no_looks = OutageLog("rollout_looks", log)
        self._noted: tuple[str, int, str] | None = None

    def tick(self) -> None:
        with self._outage.told(ApiUnavailable):
            self._look()

    def _look(self) -> None:
        shown = self._api.rollout()
        if shown is None:
            return
        decision = judge_stage(look_from(shown, self._read_outcomes(shown)), self._policy)
        try:
            number = self._lease.take()
        except DataUnavailable as error:
            self._no_lease.away(error)
            # Without the lease no scheduler advances the rollout; aborting is safe for every
            # scheduler.
            if decision.step is not StageAction.ROLL_BACK:
                return
            number = None
        else:
            self._no_lease.back()
            if number is None:
                return  # another scheduler drives
        self._note(decision)
        try:
            if decision.step is not StageAction.HOLD:
                self._carry_out(decision, number)
        finally:
            # after the step: a slow database must not delay the abort of a harmful candidate
            self._store(decision, shown.began_at)

    def _read_outcomes(self, shown: RolloutView) -> Outcomes | None:
        """Outcomes of both arms; without them the other tests still detect a harmful candidate."""
        try:
            found = self._outcomes.read(shown, self._clock.now_us())
        except UnderstudyError as error:
            self._no_outcomes.away(error)
            return None
        self._no_outcomes.back()
        return found

    def _carry_out(self, decision: StageDecision, number: int | None) -> None:
        answer = self._api.update_rollout(request_of(decision), number)
        if answer.accepted:
            return
        self._log.warning(
            "rollout_step_refused",
            version=decision.look.version,
            step=decision.step.value,
            status=answer.status,
            detail=answer.detail,
        )

    def _store(self, decision: StageDecision, began_at: str) -> None:
        try:
            began_at_us = to_micros(datetime.fromisoformat(began_at))
            self._keep(stored_look(decision, began_at_us, self._clock.now_us()))
        except DataUnavailable as error:
            self._no_looks.away(error)
        else:
            self._no_looks.back()

    def _note(self, decision: StageDecision) -> None:
        """Write down steps, and the first look of each kind of waiting."""
        look = decision.look
        kind = (look.version, look.share_percent, decision.code)
        if decision.step is StageAction.HOLD and kind == self._noted:
            return
        try:
            self._record.write(decision, self._clock.now_us())
        except OSError as error:
            # Logged only: a full disk must not stop the abort of a harmful candidate.
            self._log.error("rollout_not_recorded", reason=str(error))
        self._noted = kind
        self._log.info(
            "rollout_decided",
            version=look.version,
            share_percent=look.share_percent,
            step=decision.step.value,
            code=decision.code,
            reason=decision.reason,
        )
