"""Promotion: sign, push, and ask the API whether it really serves the new version."""

from scheduler.cycle.context import CycleContext
from scheduler.cycle.preconditions import announce, check_champion
from scheduler.cycle.resumption import end_on_trial, is_promoted_already
from scheduler.cycle.run import CycleRun
from scheduler.decision import PromotionDecision
from scheduler.publisher import PushResult, PushState
from scheduler.scoring_api import ApiUnavailable, Serving
from shared.bundle.version import Version
from shared.contracts.rollouts import Mode
from shared.tables.runs import RunStatus

VERIFY_ATTEMPTS = 5
VERIFY_PAUSE_SECONDS = 1.0


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
            note.result = "on_trial"
        note.details = {"reason": pushed.reason}
    if pushed.state is PushState.REFUSED:
        # an earlier attempt's push may have been on its way all the time
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
            # a rollout that is over already is told apart by the one who keeps the records
            note.result = "on_trial"
            end_on_trial(report, decision, serving, partial)
        else:
            note.result = "not_served"
            reason = f"pushed, but the API does not serve it: {pushed.reason}"
            report.end(RunStatus.FAILED, "push_unverified", reason)


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
