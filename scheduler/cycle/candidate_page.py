"""The last step of a cycle: lay a page beside the bundle that says what became of it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learning.measures import measure_named, shown_measures
from scheduler.cycle.evaluation import Evaluation
from scheduler.cycle.examples import Examples
from scheduler.cycle.interruption import Interrupted
from scheduler.cycle.packaging import Draft
from scheduler.cycle.run import CycleRun, RunArtifacts
from scheduler.report.data import (
    BundleFacts,
    Examined,
    Gain,
    HeldOutSummary,
    Importance,
    ReportData,
)
from scheduler.report.measuring import (
    METRICS,
    RESAMPLES,
    ScoredRows,
    gains_by_slice,
    gains_of,
    importances,
    importances_by,
    overall,
    sample_of,
    sample_rows,
    view,
)
from scheduler.report.page import render
from scheduler.report.task_views import Floats, RankView, view_of
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.measure import MeasurementPlan
from scheduler.statistics.sample import Codes
from shared.bundle.version import Version
from shared.clock import to_datetime
from shared.tasks import TaskKind, support_of
from shared.tasks.metrics import BUDGETED
from shared.usecase.rows import TIME
from shared.usecase.serving import FloatMatrix

# The page of a candidate: metrics and charts for people, computed after the decision.


def measure(run: CycleRun) -> Examined | None:
    """Everything that can be measured of the candidate; None when the run did not get there."""
    found = run.artifacts
    if found.examples is None or found.draft is None or found.evaluation is None:
        return None
    if found.examples.task.kind is not TaskKind.BINARY:
        return _measure_task(run, found.examples, found.draft, found.evaluation)
    contest, seed = found.evaluation.contest, run.context.seed
    policy = run.context.use_case.policy
    plan = MeasurementPlan(RESAMPLES, seed, policy.daily_alerts, policy.cost_per_alert)
    scored = _scored(contest.evidence, plan)
    rng = np.random.default_rng(seed)
    looked_at = sample_rows(scored.positive, rng)
    features, groups = _importances(run, found.examples, found.draft, looked_at, rng)
    champion = None
    if scored.champion is not None:
        champion = view(str(contest.champion_version), scored.champion, scored.positive)
    return Examined(
        held_out=_held_out(run, found.examples),
        candidate=view(str(found.draft.version), scored.candidate, scored.positive),
        champion=champion,
        gains=tuple(overall(scored, _metrics(run, found.examples))),
        slices=_slices(run, replace(scored.evidence(), slices=scored.slices), plan),
        features=features,
        groups=groups,
        importance_rows=len(looked_at),
        operating=found.evaluation.operating,
    )


def _measure_task(
    run: CycleRun, examples: Examples, draft: Draft, evaluation: Evaluation
) -> Examined:
    """Measurements of a task that has no positives."""
    contest, policy = evaluation.contest, run.context.use_case.policy
    evidence, task = contest.evidence, examples.task
    plan = MeasurementPlan(RESAMPLES, run.context.seed)
    truth = np.asarray(evidence.labels, dtype=np.float64)
    features, groups, looked_at = _task_importances(run, examples, draft)
    other = contest.champion_version
    champion = None
    if evidence.champion is not None:
        champion = view_of(task, str(other), evidence.champion, truth)
    baselines = {
        name: view_of(task, name, scores, truth) for name, scores in evidence.baselines.items()
    }
    return Examined(
        held_out=_held_out(run, examples),
        candidate=None,
        champion=None,
        gains=tuple(gains_of(evidence, _metrics(run, examples), plan)),
        slices=_slices(run, evidence, plan),
        features=features,
        groups=groups,
        importance_rows=looked_at,
        view=view_of(task, str(draft.version), evidence.candidate, truth),
        champion_view=champion,
        baselines={n: view for n, view in baselines.items() if isinstance(view, RankView)},
        importance_metric=policy.primary_metric,
    )


def _metrics(run: CycleRun, examples: Examples) -> tuple[str, ...]:
    """The metrics that are shown: the task's, and those that the policy names."""
    policy = run.context.use_case.policy
    named = (policy.primary_metric, *policy.guard_metrics)
    if set(named) & set(BUDGETED):
        return METRICS
    return tuple(dict.fromkeys((*named, *shown_measures(examples.task))))


def _slices(run: CycleRun, evidence: Evidence, plan: MeasurementPlan) -> tuple[Gain, ...]:
    found = []
    for gain in gains_by_slice(evidence, run.context.use_case.policy.primary_metric, plan):
        run.context.interruption.raise_if_requested()
        found.append(gain)
    return tuple(found)


def _scored(evidence: Evidence, plan: MeasurementPlan) -> ScoredRows:
    clusters = None
    if evidence.customers is not None and evidence.days is not None:
        clusters = np.column_stack((evidence.customers, evidence.days))
    return ScoredRows(
        np.asarray(evidence.labels == 1, dtype=np.bool_),
        evidence.candidate,
        evidence.champion,
        clusters,
        evidence.slices,
        plan,
    )


def _importances(
    run: CycleRun,
    examples: Examples,
    draft: Draft,
    rows: Codes,
    rng: np.random.Generator,
) -> tuple[tuple[Importance, ...], tuple[Importance, ...]]:
    """Importance of single features and of whole groups; empty if one class is missing."""
    positive = np.asarray(examples.held_out_labels[rows] == 1, dtype=np.bool_)
    if positive.all() or not positive.any():
        return (), ()
    names = draft.manifest.feature_names
    matrix = examples.held_out_columns(names, rows)
    use_case = run.context.use_case

    def score(changed: FloatMatrix) -> Floats:
        run.context.interruption.raise_if_requested()
        return use_case.headline(draft.model.score(changed))

    alone, together = _column_groups(run, names)
    features = importances(score, matrix, positive, alone, rng)
    return features, importances(score, matrix, positive, together, rng)


def _task_importances(
    run: CycleRun, examples: Examples, draft: Draft
) -> tuple[tuple[Importance, ...], tuple[Importance, ...], int]:
    """Importance by the deciding metric: of features, of groups, and the number of rows used."""
    rng = np.random.default_rng(run.context.seed)
    rows = sample_of(examples.held_out.height, rng)
    names, task = draft.manifest.feature_names, examples.task
    matrix = examples.held_out_columns(names, rows)
    truth = examples.held_out_labels[rows].astype(np.float64)
    measure = measure_named(run.context.use_case.policy.primary_metric)

    def value(changed: FloatMatrix) -> float:
        run.context.interruption.raise_if_requested()
        return measure.of(task.predictions(draft.model.score(changed)), truth).value

    alone, together = _column_groups(run, names)
    features = importances_by(value, matrix, alone, rng)
    # where every column is its own group, the second chart would equal the first
    is_grouped = len(together) < len(alone)
    groups = importances_by(value, matrix, together, rng) if is_grouped else ()
    return features, groups, len(rows)


def _column_groups(
    run: CycleRun, names: Sequence[str]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Positions by feature, and by group of features."""
    group_of = run.context.use_case.feature_set.groups
    alone = {name: [place] for place, name in enumerate(names)}
    together: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        together.setdefault(group_of[name], []).append(place)
    return alone, together


def _held_out(run: CycleRun, examples: Examples) -> HeldOutSummary:
    instants = examples.held_out[TIME]
    kept = (run.report.metrics or {}).get("held_out", {})
    return HeldOutSummary(
        rows=examples.held_out.height,
        positives=examples.held_out_positives,
        start=to_datetime(int(instants.min())),  # type: ignore[arg-type]
        end=to_datetime(int(instants.max())),  # type: ignore[arg-type]
        file=kept.get("file"),
        sha256=kept.get("sha256"),
        about=_about(examples),
    )


def _about(examples: Examples) -> str:
    """The labels of the held-out rows, in words; empty for a binary task."""
    task, labels = examples.task, examples.held_out_labels
    if task.kind is TaskKind.REGRESSION:
        return f"values from {labels.min():.4g} to {labels.max():.4g}, mean {labels.mean():.4g}"
    if task.kind is TaskKind.MULTICLASS:
        counts = np.bincount(labels.astype(np.int64), minlength=task.width)
        rarest = int(counts.argmin())
        return f"{task.width} classes; the rarest, {task.names[rarest]}, has {counts[rarest]} rows"
    if task.kind is TaskKind.RANKING:
        count = support_of(task, labels, examples.customers()).count
        return f"{count} entities, {int((~np.isnan(labels)).sum())} ratings of {task.width} items"
    return ""


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
        run.context.log.exception("report_failed")


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
        task=run.context.use_case.task,
    )


def _bundle(found: RunArtifacts) -> BundleFacts | None:
    if found.sealed is None:
        return None
    bundle = found.sealed.bundle
    return BundleFacts(bundle.manifest, bundle.sha256, len(found.sealed.raw))
