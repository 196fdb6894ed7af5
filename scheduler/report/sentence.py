"""The reason a candidate was or was not promoted, in one sentence."""

from scheduler.decision import PromotionDecision
from scheduler.report.data import ReportData
from shared.tables.runs import RunStatus
from shared.verdicts import Outcome, Verdict

GATES = {
    "data_quality": "data-quality gate",
    "feature_quality": "feature-quality gate",
    "latency": "latency gate",
    "api_health": "API-health gate",
    "metrics": "comparison with the champion",
}


def gate_name(gate: str) -> str:
    """The display name of a gate."""
    return GATES.get(gate, f"{gate.replace('_', ' ')} gate")


def why(data: ReportData) -> str:
    """The answer of the whole report."""
    return f"{' '.join(_why(data).split()).rstrip('.;: ')}."


def _why(data: ReportData) -> str:
    who = f"Version {data.candidate_version}" if data.candidate_version else "A new candidate"
    if data.decision is None:
        return f"{who} was not promoted because the run broke off: {data.message}"
    if data.status == RunStatus.NOT_DUE:
        return f"{who} was not promoted because the champion is fresh: {data.message}"
    if not data.decision.promotes:
        return _refused(who, data, data.decision)
    if data.status == RunStatus.ON_TRIAL:
        return (
            f"{who} passed every gate and is on trial beside {data.champion_version}, which "
            f"stays the champion until the rollout promotes it: {data.message}"
        )
    if data.status == RunStatus.AWAITING:
        return f"{who} passed every gate and waits for a person to approve it: {data.message}"
    if data.status != RunStatus.SUCCEEDED:
        return f"{who} passed every gate but does not serve: {data.message}"
    found = _by_gate(data.verdicts, "metrics")
    because = found.reason if found else data.decision.reason
    if data.decision.inputs.first_model:
        return f"{who} was promoted because it is the first model and passed every gate: {because}"
    return (
        f"{who} was promoted over {data.champion_version} because it passed every gate: {because}"
    )


def _refused(who: str, data: ReportData, decision: PromotionDecision) -> str:
    blocking = next((item for item in data.verdicts if not item.passed), None)
    if blocking is None:
        return f"{who} was not promoted because {decision.reason}"
    if data.candidate_version is None:
        who = "Nothing was trained, so nothing was promoted,"
    else:
        who = f"{who} was not promoted"
    return f"{who} because {_said(blocking)}"


def _said(verdict: Verdict) -> str:
    gate = gate_name(verdict.gate)
    if verdict.outcome is Outcome.FAIL:
        return f"the {gate} failed: {verdict.reason}"
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return f"the {gate} was inconclusive: {verdict.reason}"
    return f"the {gate} could not be carried out: {verdict.reason}"


def _by_gate(verdicts: tuple[Verdict, ...], gate: str) -> Verdict | None:
    return next((item for item in verdicts if item.gate == gate), None)
