"""The result of a push: promoted or on trial, also of an attempt that was interrupted after it."""

from scheduler.cycle.report import RunReport
from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision, from_json
from scheduler.scoring_api import Serving
from shared.bundle.version import Version
from shared.tables.runs import RunStatus

ON_TRIAL = "on_trial"


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
        end_on_trial(report, decision, serving if _tries(serving, version) else None)
    return True


def _tries(serving: Serving | None, version: Version) -> bool:
    return serving is not None and serving.tries(str(version))


def _is_accepted(
    run: CycleRun, version: Version, sha256: str | None, serving: Serving | None
) -> bool:
    if serving is not None and serving.version == str(version):
        return serving.sha256 in {None, sha256}
    return version in run.context.api.known_versions()
