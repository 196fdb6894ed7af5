"""The learning cycle: its steps in order, from snapshot to decision."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

import polars as pl

from learning.dataset.large import LargeHistory, LargeRuns, ScannedQuarantine, Workplace
from scheduler.cycle.approval import wait_for_approval
from scheduler.cycle.baseline import baseline_of
from scheduler.cycle.champion import Champion, find_champion
from scheduler.cycle.evaluation import Evaluation, evaluate, held_out_rows
from scheduler.cycle.examples import Examples, build_examples, gather_material
from scheduler.cycle.freshness import (
    CHAMPION_FRESH,
    RECIPE,
    Freshness,
    champion_freshness,
    recipe_digest,
)
from scheduler.cycle.gates import (
    conclude,
    examine,
    freshness_alone,
    has_fit_features,
    is_fit_to_learn_from,
)
from scheduler.cycle.large_history import examples_of_files, large_history
from scheduler.cycle.packaging import Draft, Sealed, draft, seal
from scheduler.cycle.promotion import promote
from scheduler.cycle.run import CycleRun
from scheduler.cycle.steps import Note
from scheduler.gates import finite
from scheduler.step_cache import CandidateSerializer, FrameSerializer
from shared.clock import isoformat, to_micros
from shared.tables.label_changes import count_corrections
from shared.tables.runs import RunStatus
from shared.usecase.learning import Candidate, Quarantine


def learn(run: CycleRun) -> None:
    """One cycle; the report says how it ended.

    Raises:
        UnderstudyError: the run failed; the model that serves stays.
    """
    with ExitStack() as files:
        _learn(run, files)


def _learn(run: CycleRun, files: ExitStack) -> None:
    found = run.artifacts
    champion = found.champion = _champion(run)
    fresh = _freshness(run, champion)
    if fresh is not None and not run.context.trains_while_fresh:
        end_not_due(run, str(fresh))
        return
    examples = found.examples = _examples(run, files)
    if examples is None:
        decision = conclude(run, champion, None)
        run.report.end(RunStatus.REFUSED, decision.code, decision.reason)
        return
    unjudged = found.draft = _package(run, _train(run, examples), examples, champion)
    evaluation, sealed = _evaluate(run, examples, unjudged, champion)
    found.evaluation, found.sealed = evaluation, sealed
    examine(run, examples, unjudged, evaluation)
    decision = conclude(run, champion, sealed)
    kept_as_fresh = freshness_alone(run)
    expires_seconds = run.context.approvals.expires_seconds
    if fresh is not None or kept_as_fresh is not None:
        end_not_due(run, str(fresh or kept_as_fresh))
    elif decision.promotes and expires_seconds is not None:
        wait_for_approval(run, decision, expires_seconds)
    elif decision.promotes:
        promote(run, decision, sealed.raw)
    else:
        run.report.end(RunStatus.REFUSED, decision.code, decision.reason)


def _champion(run: CycleRun) -> Champion | None:
    context = run.context
    with run.steps.step("champion") as note:
        champion = find_champion(
            context.served,
            context.use_case.feature_set,
            allow_pickle=context.allow_pickle,
        )
        if champion is None:
            note.result = "none_yet"
            return None
        run.report.champion_version = note.details["version"] = str(champion.version)
        if champion.unscorable_reason:
            note.result = "cannot_be_scored"
            note.details["reason"] = champion.unscorable_reason
            context.log.warning(
                "champion_unscorable",
                version=str(champion.version),
                reason=champion.unscorable_reason,
                judged_by="floors"
                if context.use_case.policy.allow_unscorable_champion
                else "no gate",
            )
        return champion


def _freshness(run: CycleRun, champion: Champion | None) -> Freshness | None:
    with run.steps.step("due") as note:
        found = champion_freshness(run, champion)
        if found is not None:
            note.result, note.details["reason"] = CHAMPION_FRESH, str(found)
        elif run.claim is not None and run.claim.forced_by is not None:
            note.result, note.details["forced_by"] = "forced", run.claim.forced_by
            run.context.log.info(
                "run_forced", by=run.claim.forced_by, reason=run.claim.forced_reason
            )
        return found


def end_not_due(run: CycleRun, reason: str) -> None:
    """The champion stays because it is fresh, which says nothing against the candidate."""
    remedy = "`understudy retrain --force` trains all the same"
    run.report.end(RunStatus.NOT_DUE, CHAMPION_FRESH, f"{reason}; {remedy}")


def _examples(run: CycleRun, files: ExitStack) -> Examples | None:
    """None when a gate says that the data are not fit to be learned from.

    The largest objects there are end with this step; examples hold what is still needed, and
    `files` what they are mapped from.
    """
    large = large_history(run)
    if large is not None:
        interrupted = run.context.interruption.raise_if_requested
        return _large_examples(run, *large, files.enter_context(large[1].workplace(interrupted)))
    context, snapshot = run.context, _without_wrong_rows(run, _snapshot(run))
    if not is_fit_to_learn_from(run, snapshot):
        return None
    material = gather_material(context, run.steps, snapshot, run.as_of_us)
    if not has_fit_features(run, snapshot, material):
        return None
    return build_examples(
        snapshot, material, context.use_case.feature_set.names, context.use_case.columns
    )


def _large_examples(
    run: CycleRun, large: LargeHistory, runs: LargeRuns, kept_in: Workplace
) -> Examples | None:
    """The same out of files, of which only those of `kept_in` are still there in the training."""
    with runs.workplace(run.context.interruption.raise_if_requested) as place:
        with _snapshot_step(run) as note:
            snapshot = large.scan_snapshot(run.context.engine, run.as_of_us, place)
            run.report.data_size = note.rows = snapshot.height
        with run.steps.step("quarantine") as note:
            found = large.scan_quarantine(snapshot, run.as_of_us, place)
            _note_quarantine(run, note, found)
        return examples_of_files(run, large, found.kept, place, kept_in)


def _snapshot(run: CycleRun) -> pl.DataFrame:
    with _snapshot_step(run) as note:
        use_case = run.context.use_case
        snapshot = run.context.once(
            note,
            "snapshot",
            {"use_case": use_case.name, "as_of_us": run.as_of_us},
            FrameSerializer(),
            lambda: use_case.snapshot(run.context.engine, run.as_of_us),
        )
        run.report.data_size = note.rows = snapshot.height
        return snapshot


@contextmanager
def _snapshot_step(run: CycleRun) -> Iterator[Note]:
    with run.steps.step("snapshot") as note:
        yield note
        note.details |= _corrections(run)
        if run.as_of.is_declared:
            note.details["as_of"] = isoformat(run.as_of_us)


def _without_wrong_rows(run: CycleRun, snapshot: pl.DataFrame) -> pl.DataFrame:
    """Few rows that nothing can be learned from must not keep every run from learning."""
    with run.steps.step("quarantine") as note:
        found = run.context.use_case.quarantine(snapshot, run.as_of_us)
        _note_quarantine(run, note, found)
        return found.kept


def _note_quarantine(run: CycleRun, note: Note, found: Quarantine | ScannedQuarantine) -> None:
    note.rows = found.rows
    if found.rows:
        note.details["faults"] = dict(found.faults)
        run.context.log.warning("rows_quarantined", rows=found.rows, faults=dict(found.faults),
                                remedy="understudy rows find")  # fmt: skip


def _corrections(run: CycleRun) -> dict[str, dict[str, int]]:
    """Labels turned round since the champion was made; this snapshot holds what they are now."""
    champion = run.artifacts.champion
    manifest = champion.manifest if champion else None
    since_us = to_micros(manifest.created_at) if manifest else 0
    found = count_corrections(run.context.engine, run.as_of_us, since_us)
    return {"label_corrections": asdict(found)} if found.any else {}


def _train(run: CycleRun, examples: Examples) -> Candidate:
    context = run.context
    with (
        run.steps.step("train") as note,
        context.progress("train", context.log, context.interruption) as progress,
    ):
        note.rows = len(examples.train_matrix)
        inputs = {
            "use_case": context.use_case.name,
            "rows": examples.training_data.sha256,
            "features": examples.feature_names,
            "seed": context.seed,
        }
        return context.once(
            note,
            "train",
            inputs,
            CandidateSerializer(),
            lambda: context.use_case.train(
                examples.train_matrix,
                examples.train_labels,
                examples.feature_names,
                context.seed,
                progress,
            ),
        )


def _package(
    run: CycleRun, candidate: Candidate, examples: Examples, champion: Champion | None
) -> Draft:
    with run.steps.step("package") as note:
        own = run.announced_version
        unjudged = draft(run.context, candidate, examples, champion, run.as_of, own=own)
        run.report.model_version = note.details["version"] = str(unjudged.version)
        note.details[RECIPE] = recipe_digest(run)
        return unjudged


def _evaluate(
    run: CycleRun, examples: Examples, unjudged: Draft, champion: Champion | None
) -> tuple[Evaluation, Sealed]:
    context = run.context
    with run.steps.step("evaluate") as note:
        note.rows = len(examples.held_out_labels)
        forced_by = None if run.claim is None else run.claim.forced_by
        evaluation = evaluate(context, examples, unjudged, champion, run.as_of, forced_by=forced_by)
        kept = context.held_out.save(unjudged.version, held_out_rows(examples, evaluation))
        baseline = baseline_of(
            examples,
            evaluation.headline,
            context.use_case.feature_set.categories,
        )
        sealed = seal(unjudged, evaluation.candidate_metrics, evaluation.intervals, baseline)
        context.candidates.save_bundle(unjudged.version, sealed.raw)
        served = evaluation.champion_metrics
        run.report.metrics = {
            "candidate": finite(evaluation.candidate_metrics),
            "champion": None if served is None else finite(served),
            "intervals": {name: list(bounds) for name, bounds in evaluation.intervals.items()},
            "held_out": {
                "rows": note.rows,
                "positives": examples.held_out_positives,
                "file": kept.path.name,
                "sha256": kept.sha256,
            },
        }
        return evaluation, sealed
