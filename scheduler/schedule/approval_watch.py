"""Ends the waiting of candidates whose time is over, or whose comparison is void by now."""

from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.approval import correct_files
from scheduler.cycle.candidates import CandidateStore
from scheduler.schedule.outage_log import OutageLog
from scheduler.scoring_api import ApiUnavailable, Serving
from shared.clock import isoformat
from shared.errors import DataUnavailable
from shared.tables.approvals import Approval, ApprovalState, Ruling, overdue, settle, waiting
from shared.tables.runs import RunStatus, get_run

_WHO = "scheduler"


class ServingApi(Protocol):
    """The part of the API that knows the live version. Raises ApiUnavailable."""

    def current(self) -> Serving | None: ...


@dataclass(slots=True)
class ApprovalWatch:
    """Looks every few seconds; all state is in the database, so any scheduler goes on with it."""

    engine: Engine
    api: ServingApi
    candidates: CandidateStore
    log: FilteringBoundLogger
    _outage: OutageLog = field(init=False)
    _uncorrected: set[int] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._outage = OutageLog("approvals", self.log)

    def tick(self) -> None:
        with self._outage.told(ApiUnavailable, DataUnavailable):
            self._look()

    def _look(self) -> None:
        for late in overdue(self.engine):
            why = f"no person decided about {late.version} until {isoformat(late.expires_at_us)}"
            self._settle(late, ApprovalState.EXPIRED, why)
        held = waiting(self.engine)
        self._uncorrected |= {one.run_id for one in held}
        if held:
            serving = self.api.current()
            version = None if serving is None else serving.version
            for one in held:
                if version != one.champion_version:
                    why = (
                        f"{version or 'no model'} serves, but {one.version} was judged against "
                        f"{one.champion_version or 'no model'}"
                    )
                    self._settle(one, ApprovalState.VOID, why)
        for run_id in sorted(self._uncorrected):
            self._correct_files(run_id)

    def _settle(self, approval: Approval, state: ApprovalState, why: str) -> None:
        if settle(self.engine, approval.run_id, Ruling(state, _WHO, why)):
            self.log.warning(
                "approval_ended",
                run_id=approval.run_id,
                version=approval.version,
                state=state.value,
                reason=why,
            )

    def _correct_files(self, run_id: int) -> None:
        run = get_run(self.engine, run_id)
        if run is not None and run.status in _OPEN:
            return
        self._uncorrected.discard(run_id)
        if run is not None:
            correct_files(self.candidates, run, self.log)


_OPEN = frozenset({RunStatus.AWAITING, RunStatus.REQUESTED, RunStatus.RUNNING, RunStatus.ON_TRIAL})
