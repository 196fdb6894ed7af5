"""The last step of a cycle: lay a page beside the bundle that says what became of it."""

from scheduler.cycle.artifacts import RunArtifacts
from scheduler.cycle.interruption import Interrupted
from scheduler.cycle.measurements import measure
from scheduler.cycle.run import CycleRun
from scheduler.report.data import BundleFacts, ReportData
from scheduler.report.page import render
from shared.bundle.version import Version
from shared.clock import to_datetime


def write_candidate_page(run: CycleRun, run_id: int) -> None:
    """Write the report of a run that got as far as a verdict; whatever fails is only logged."""
    version = run.report.model_version
    if not run.context.reports or (version is None and not run.report.verdicts):
        return
    candidates = run.context.candidates
    try:
        with run.steps.step("report"):
            page = render(report_data(run, run_id))
            if version is None:
                candidates.save_report_without_candidate(run_id, page)
            else:
                candidates.save_report(Version.parse(version), page)
    except Interrupted:
        run.context.log.info("report_left_out", reason="the scheduler was asked to stop")
    except Exception:
        run.context.log.exception("report_broke")


def report_data(run: CycleRun, run_id: int) -> ReportData:
    """Everything the page shows; costs seconds, since some of it is measured here."""
    report, found = run.report, run.artifacts
    champion = found.champion
    return ReportData(
        use_case=run.context.use_case.name,
        run_id=run_id,
        as_of=to_datetime(run.as_of_us),
        began=to_datetime(run.as_of.began_us) if run.as_of.is_declared else None,
        status=report.status.value,
        code=report.code,
        message=report.message,
        candidate_version=report.model_version,
        champion_version=report.champion_version,
        unscorable_reason=champion.unscorable_reason if champion else None,
        snapshot_rows=report.data_size,
        policy=run.context.use_case.policy,
        verdicts=tuple(report.verdicts),
        decision=report.decision,
        bundle=_bundle(found),
        examined=measure(run),
        metrics=report.metrics or {},
        steps=tuple(run.steps.records),
    )


def _bundle(found: RunArtifacts) -> BundleFacts | None:
    if found.sealed is None:
        return None
    bundle = found.sealed.bundle
    return BundleFacts(bundle.manifest, bundle.sha256, len(found.sealed.raw))
