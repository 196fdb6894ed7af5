"""A run that is begun again: had an earlier attempt been promoted before it was cut off?"""

from scheduler.cycle.run import CycleRun
from scheduler.decision import from_json
from shared.bundle.version import Version
from shared.tables.runs import RunStatus


def is_promoted_already(run: CycleRun) -> bool:
    """Whether the API accepted what an earlier attempt announced; then the run is over.

    Raises:
        ApiUnavailable: the API does not answer.
    """
    claim, version = run.claim, run.announced_version
    if claim is None or version is None:
        return False
    with run.steps.step("earlier_push") as note:
        note.details["version"] = str(version)
        if not _is_accepted(run, version, claim.candidate_sha256):
            note.result = "not_accepted"
            return False
        note.result = "accepted"
    decision = from_json(claim.decision)
    report = run.report
    report.model_version, report.decision = claim.model_version, decision
    report.champion_version = claim.champion_version
    report.verdicts = list(decision.inputs.verdicts)
    report.end(RunStatus.SUCCEEDED, decision.code, decision.reason)
    return True


def _is_accepted(run: CycleRun, version: Version, sha256: str | None) -> bool:
    api = run.context.api
    serving = api.current()
    if serving is not None and serving.version == str(version):
        return serving.sha256 in {None, sha256}
    return version in api.known_versions()
