"""Approval by a person: what passed every gate waits for it, and goes on once it is given.

The run that trained the candidate ends as AWAITING. An approval requests it again, and its next
attempt promotes the very bundle that was judged, if the champion is still the one it was judged
against. Nothing is trained or compared twice, and nothing waits in memory.
"""

import hashlib

from structlog.typing import FilteringBoundLogger

from scheduler.cycle.candidates import CandidateStore
from scheduler.cycle.promotion import ChampionChanged, check_champion, promote
from scheduler.cycle.report import RunReport
from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision, from_json
from scheduler.publisher import NotPromoted
from scheduler.report.page import with_outcome
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.tables.approvals import AWAITS, VOID, Approval, WantedApproval
from shared.tables.runs import Run, RunStatus


def wait_for_approval(run: CycleRun, decision: PromotionDecision, expires_seconds: float) -> None:
    """End this attempt: the candidate waits, and its evidence with it."""
    inputs = decision.inputs
    run.report.approval = WantedApproval(
        str(inputs.candidate_version),
        str(inputs.candidate_sha256),
        inputs.champion_version,
        expires_seconds,
    )
    message = f"{decision.reason}; a person has to approve it within {expires_seconds / 3600:g} h"
    run.report.end(RunStatus.AWAITING, AWAITS, message)
    run.context.log.info("approval_wanted", version=inputs.candidate_version, reason=message)


def promote_approved(run: CycleRun, approval: Approval) -> None:
    """Promote what was approved, unless what it was judged against has changed.

    Raises:
        UnderstudyError: the run failed; the model that serves stays.
    """
    claim, report = run.claim, run.report
    decision = from_json(claim.decision if claim else {})
    _restore(run, decision)
    with run.steps.step("approved") as note:
        note.details = {"reason": f"{approval.decided_by}: {approval.reason}"}
        raw = run.context.candidates.bundle(Version.parse(approval.version))
        if raw is None or hashlib.sha256(raw).hexdigest() != approval.sha256:
            note.result = "bundle_missing"
            reason = f"the approved bundle of {approval.version} is not in RETRAINED_MODELS_DIR"
            report.end(RunStatus.FAILED, "candidate_missing", reason)
            return
        run.artifacts.approved = unpack(raw)
    try:
        check_champion(run)
        promote(run, decision, raw)
    except ChampionChanged as error:
        run.context.approvals.spoil(_claim(run), str(error))
        report.end(RunStatus.REFUSED, VOID, f"approved, but {error}")


def _claim(run: CycleRun) -> Run:
    if run.claim is None:
        raise NotPromoted("only a claimed run can have been approved")
    return run.claim


def _restore(run: CycleRun, decision: PromotionDecision) -> None:
    """The report of the attempt that made the candidate goes on."""
    claim, report = _claim(run), run.report
    report.model_version, report.decision = claim.model_version, decision
    report.champion_version = claim.champion_version
    report.data_size, report.metrics = claim.data_size, claim.metrics
    report.verdicts = list(decision.inputs.verdicts)
    run.steps.records[:0] = [step for step in claim.steps or () if step.get("step") != "approved"]


def correct_page(candidates: CandidateStore, report: RunReport, log: FilteringBoundLogger) -> None:
    """Let the page of the candidate say what became of it since a person decided."""
    version = Version.parse(str(report.model_version))
    page = candidates.report(version)
    if page is None:
        return
    try:
        said = with_outcome(page, report.status.value, f"{report.message}.")
        candidates.save_report(version, said)
    except OSError as error:
        log.warning("candidate_not_corrected", version=str(version), reason=str(error))


def correct_files(candidates: CandidateStore, run: Run, log: FilteringBoundLogger) -> None:
    """Let verdicts and page of a candidate that is kept on this machine say how its run ended."""
    if run.model_version is None:
        return
    version = Version.parse(run.model_version)
    record, page = candidates.verdicts(version), candidates.report(version)
    if record is None:
        return  # trained by another scheduler, which corrects its own record
    try:
        candidates.save_verdicts(version, {**record, "status": run.status.value})
        if page is not None:
            said = with_outcome(page, run.status.value, f"{run.message or ''}.")
            candidates.save_report(version, said)
    except OSError as error:
        log.warning("candidate_not_corrected", version=str(version), reason=str(error))
