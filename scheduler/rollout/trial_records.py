"""Final states of runs whose versions were on trial, for rows, verdicts and pages.

A rollout ends by the driver, a person, an alert, a crash or a restart, also while no scheduler
runs. So no process reports an end: the API is asked about every run that is recorded as ON_TRIAL.
"""

from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from scheduler.cycle.approval import correct_files
from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.promotion import ON_TRIAL
from scheduler.schedule.outage_log import OutageLog
from scheduler.scoring_api import ApiUnavailable
from shared.contracts.models import CurrentModel, Models, ModelSummary
from shared.contracts.rollouts import EndedView, Mode, RolloutView
from shared.errors import DataUnavailable
from shared.tables.runs import Run, RunStatus, get_run, runs_on_trial, settle_trial

PROMOTED, ABORTED = "promoted", "rollout_aborted"
SUPERSEDED, LOST = "rollout_superseded", "rollout_lost"
# The API records a change within half a second; after this many polls without a trace of the
# trial it counts as lost.
_LOOKS_UNTIL_LOST = 30


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """The end of a rollout, or ON_TRIAL while it lasts."""

    status: RunStatus
    code: str
    message: str


class TrialApi(Protocol):
    """The part of the API that knows of rollouts. Both methods raise ApiUnavailable."""

    def current_model(self) -> CurrentModel | None: ...

    def models(self) -> Models: ...


def outcome_of(version: str, current: CurrentModel, models: Models) -> TrialOutcome | None:
    """The outcome of a version that was pushed to be rolled out; None: no trace of it."""
    rollout, last = current.rollout, current.last_rollout
    if current.version == version:
        return _promoted(version, last)
    if rollout is not None and rollout.version == version:
        return TrialOutcome(RunStatus.ON_TRIAL, ON_TRIAL, _standing(rollout))
    if last is not None and last.version == version:
        return _promoted(version, last) if last.outcome == PROMOTED else _ended(last)
    known = next((model for model in models.models if model.version == version), None)
    return None if known is None else _left(known)


def _promoted(version: str, last: EndedView | None) -> TrialOutcome:
    how = "it serves"
    if last is not None and last.version == version:
        how = f"{last.mode.value} promoted by {last.who}: {last.reason}"
    return TrialOutcome(RunStatus.SUCCEEDED, PROMOTED, f"{version} passed every gate; {how}")


def _standing(rollout: RolloutView) -> str:
    beside = f"{rollout.champion} stays the champion"
    if rollout.mode is Mode.SHADOW:
        return f"shadow: {rollout.version} scores copies of rows and answers none; {beside}"
    share = rollout.share_percent
    return f"canary: {share} % of users get the answers of {rollout.version}; {beside}"


def _ended(last: EndedView) -> TrialOutcome:
    code = ABORTED if last.outcome == "aborted" else SUPERSEDED
    at = f" at {last.share_percent} %" if last.mode is Mode.CANARY else ""
    said = f"{last.version} passed every gate, and its rollout ({last.mode.value}) was "
    return TrialOutcome(
        RunStatus.REFUSED, code, f"{said}{last.outcome}{at} by {last.who}: {last.reason}"
    )


def _left(known: ModelSummary) -> TrialOutcome | None:
    if known.last_activated_at is not None:
        since = f", {known.state} since" if known.state != "serving" else ""
        message = f"{known.version} was promoted at {known.last_activated_at[:19]}Z{since}"
        return TrialOutcome(RunStatus.SUCCEEDED, PROMOTED, message)
    why = known.revoked_reason or known.rolled_back_reason
    if why is None:
        return None
    return TrialOutcome(RunStatus.REFUSED, ABORTED, f"the rollout of {known.version} ended: {why}")


@dataclass(slots=True)
class TrialRecords:
    """Corrects the records of every run on trial, as often as `tick` is called."""

    engine: Engine
    api: TrialApi
    candidates: CandidateStore
    log: FilteringBoundLogger
    _uncorrected: set[int] = field(init=False)
    _looks: dict[int, int] = field(init=False, default_factory=dict)
    _outage: OutageLog = field(init=False)

    def __post_init__(self) -> None:
        self._outage = OutageLog("rollout_records", self.log)
        self._uncorrected = set(self._said_on_trial_here())

    def tick(self) -> None:
        """Ask the API about each run on trial, and write down what it says."""
        with self._outage.told(ApiUnavailable, DataUnavailable):
            self._look()

    def _look(self) -> None:
        runs = runs_on_trial(self.engine)
        self._uncorrected |= {run.run_id for run in runs}
        current = self.api.current_model() if runs else None
        if current is not None:
            models = self.api.models()
            for run in runs:
                self._settle(run, self._outcome(run, current, models))
        for run_id in sorted(self._uncorrected):
            self._correct_files(run_id)

    def _outcome(self, run: Run, current: CurrentModel, models: Models) -> TrialOutcome | None:
        found = outcome_of(str(run.model_version), current, models)
        if found is not None:
            self._looks.pop(run.run_id, None)
            return found
        self._looks[run.run_id] = self._looks.get(run.run_id, 0) + 1
        if self._looks[run.run_id] < _LOOKS_UNTIL_LOST:
            return None
        message = f"the API does not serve {run.model_version}, and no longer knows its rollout"
        return TrialOutcome(RunStatus.REFUSED, LOST, message)

    def _settle(self, run: Run, outcome: TrialOutcome | None) -> None:
        if outcome is None or outcome.message == run.message:
            return
        is_ours = settle_trial(
            self.engine, run.run_id, outcome.status, outcome.code, outcome.message
        )
        if is_ours and outcome.status is not RunStatus.ON_TRIAL:
            self.log.info(
                "rollout_outcome_recorded",
                run_id=run.run_id,
                version=run.model_version,
                status=outcome.status.value,
                code=outcome.code,
                reason=outcome.message,
            )

    def _correct_files(self, run_id: int) -> None:
        run = get_run(self.engine, run_id)
        if run is not None and run.status is RunStatus.ON_TRIAL:
            return
        self._uncorrected.discard(run_id)
        if run is not None:
            correct_files(self.candidates, run, self.log)

    def _said_on_trial_here(self) -> list[int]:
        """Runs whose files on this machine still say so: it was off when the rollout ended."""
        found = []
        for version in self.candidates.versions():
            record = self.candidates.verdicts(version)
            if record is not None and record.get("status") == RunStatus.ON_TRIAL.value:
                found.append(int(record["run_id"]))
        return found
