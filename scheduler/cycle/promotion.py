"""Promotion: check the preconditions, sign, push, and ask the API whether it serves the version.

A push ends as promoted or as on trial. An attempt that is interrupted after its push leaves the end
to the next one, which asks the API for the version that was announced.
"""

import hashlib

from scheduler.cycle.context import CycleContext
from scheduler.cycle.report import RunReport
from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision, from_json, to_json
from scheduler.publisher import PushResult, PushState
from scheduler.scoring_api import ApiUnavailable, Serving
from shared.bundle.version import Version
from shared.contracts.rollouts import Mode
from shared.errors import UnderstudyError
from shared.tables.leases import announce_push
from shared.tables.runs import RunStatus

ON_TRIAL = "on_trial"
VERIFY_ATTEMPTS = 5
VERIFY_PAUSE_SECONDS = 1.0


class LeaseLost(UnderstudyError):
    """Raised when another scheduler has taken over the run; this attempt's results are void."""


class ChampionChanged(UnderstudyError):
    """Raised when the API serves another model than the candidate was compared with."""


def promote(run: CycleRun, decision: PromotionDecision, raw: bytes) -> None:
    """Publish what the decision promotes; the report says how that ended."""
    context, steps, report = run.context, run.steps, run.report
    version = Version.parse(str(decision.inputs.candidate_version))
    with steps.step("sign"):
        signature = context.publisher.sign(decision, raw)
        context.candidates.save_signature(version, signature)
    with steps.step("push") as note:
        check_champion(run)
        announce(run, decision, raw)
        fencing_number = run.claim.fencing_number if run.claim else None
        pushed = context.publisher.push(decision, raw, signature, fencing_number)
        note.result = "partial" if pushed.partial else pushed.state.value
        if pushed.rollout is not Mode.IMMEDIATE:
            note.result = ON_TRIAL
        note.details = {"reason": pushed.reason}
    if pushed.state is PushState.REFUSED:
        # the push of an earlier attempt may have arrived late
        if is_promoted_already(run):
            return
        report.end(RunStatus.FAILED, "push_refused", pushed.reason)
        return
    with steps.step("verify") as note:
        serving = _arrived(context, pushed)
        partial = f"; {pushed.partial}" if pushed.partial else ""
        if serving is not None and serving.version == pushed.version:
            report.end(RunStatus.SUCCEEDED, decision.code, decision.reason + partial)
        elif serving is not None or pushed.rollout is not Mode.IMMEDIATE:
            # TrialRecords finds out whether the rollout has ended already
            note.result = ON_TRIAL
            end_on_trial(report, decision, serving, partial)
        else:
            note.result = "not_served"
            reason = f"pushed, but the API does not serve it: {pushed.reason}"
            report.end(RunStatus.FAILED, "push_unverified", reason)


def check_champion(run: CycleRun) -> None:
    """Raise when the champion that was compared with is not the live version any more.

    Raises:
        ApiUnavailable: the live version is unknown.
        ChampionChanged: a push or rollback changed the live version since this run began.
    """
    serving = run.context.api.current()
    version = None if serving is None else serving.version
    judged = run.report.champion_version
    if version != judged:
        raise ChampionChanged(
            f"{version or 'no model'} serves, but the candidate was judged against "
            f"{judged or 'no model'}"
        )


def announce(run: CycleRun, decision: PromotionDecision, raw: bytes) -> None:
    """Record the version that is about to be pushed, so that a successor can ask the API for it.

    Raises:
        DataUnavailable: the database cannot be written now.
        LeaseLost: another scheduler holds the run now.
    """
    claim = run.claim
    if claim is None or claim.fencing_number is None:
        return
    is_ours = announce_push(
        run.context.engine,
        claim.run_id,
        claim.fencing_number,
        run.context.lease_seconds,
        modelversion=decision.inputs.candidate_version,
        championversion=decision.inputs.champion_version,
        candidatesha256=hashlib.sha256(raw).hexdigest(),
        decision=to_json(decision),
    )
    if not is_ours:
        raise LeaseLost("another scheduler has taken this run over")


def _arrived(context: CycleContext, pushed: PushResult) -> Serving | None:
    """The state of the pushed version in the API, live or on trial; None: it has not arrived.

    Asked a few times: after a broken push the API may still be loading.
    """
    for attempt in range(VERIFY_ATTEMPTS):
        if attempt:
            context.interruption.wait(VERIFY_PAUSE_SECONDS)
            context.interruption.raise_if_requested()
        try:
            serving = context.publisher.serving()
        except ApiUnavailable:
            continue
        if serving is not None and (
            serving.version == pushed.version or serving.tries(pushed.version)
        ):
            return serving
    return None


def end_on_trial(
    report: RunReport, decision: PromotionDecision, serving: Serving | None, partial: str = ""
) -> None:
    """The run has done its work; whether the version is promoted, its rollout decides."""
    shown = "" if serving is None or serving.on_trial is None else f"; {serving.on_trial}"
    report.end(RunStatus.ON_TRIAL, ON_TRIAL, f"{decision.reason}{shown}{partial}")


def is_promoted_already(run: CycleRun) -> bool:
    """True if the API accepted what an earlier attempt announced; then the run is over.

    Raises:
        ApiUnavailable: the API does not answer.
    """
    claim, version = run.claim, run.announced_version
    if claim is None or version is None:
        return False
    with run.steps.step("earlier_push") as note:
        note.details["version"] = str(version)
        serving = run.context.api.current()
        if not _is_accepted(run, version, claim.candidate_sha256, serving):
            note.result = "not_accepted"
            return False
        note.result = "accepted"
    decision = from_json(claim.decision)
    report = run.report
    report.model_version, report.decision = claim.model_version, decision
    report.champion_version = claim.champion_version
    report.verdicts = list(decision.inputs.verdicts)
    if serving is not None and serving.version == str(version):
        report.end(RunStatus.SUCCEEDED, decision.code, decision.reason)
    else:
        # on trial, or ended since: the rollout driver asks the API which
        is_tried = serving is not None and serving.tries(str(version))
        end_on_trial(report, decision, serving if is_tried else None)
    return True


def _is_accepted(
    run: CycleRun, version: Version, sha256: str | None, serving: Serving | None
) -> bool:
    if serving is not None and serving.version == str(version):
        return serving.sha256 in {None, sha256}
    return version in run.context.api.known_versions()
