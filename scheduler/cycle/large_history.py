"""A run over a history that exceeds memory: its snapshot and its features are files.

The same steps, gates and results as in memory. Only what is learned from and judged on comes out;
all other files are deleted as soon as it is there. These steps are not resumed: a run that died
before it had trained reads the history again.
"""

from learning.dataset.large import LargeHistory, LargeRuns, Workplace
from learning.dataset.mapped import release_pages
from learning.dataset.scanned import ScannedRows
from scheduler.cycle.examples import (
    Examples,
    Material,
    build_examples,
    features_in_use,
    split_step,
)
from scheduler.cycle.gates import gate_step
from scheduler.cycle.run import CycleRun
from scheduler.cycle.steps import StepLog
from scheduler.decision import DATA_QUALITY, FEATURE_QUALITY


def large_history(run: CycleRun) -> tuple[LargeHistory, LargeRuns] | None:
    """The use case, where it can read files and has more rows than a run holds, or a lake."""
    context, runs = run.context, run.context.large
    use_case = context.use_case
    if runs is None or not isinstance(use_case, LargeHistory):
        return None
    rows, most = use_case.stored_rows(context.engine), runs.rows_in_memory
    is_large = rows > most or runs.lake is not None
    place = "files" if is_large else "memory"
    context.log.info("snapshot_place", place=place, rows=rows, rows_in_memory=most)
    return (use_case, runs) if is_large else None


def examples_of_files(
    run: CycleRun,
    large: LargeHistory,
    snapshot: ScannedRows,
    place: Workplace,
    kept_in: Workplace,
) -> Examples | None:
    """The examples of a snapshot in a file; None when a gate refuses it.

    Their features are files of `kept_in`, which has to last as long as the run.
    """
    context = run.context
    if not gate_step(run, DATA_QUALITY, lambda: large.scan_quality(snapshot, run.as_of_us, place)):
        return None
    material = _material(run, large, snapshot, place)
    is_fit = gate_step(
        run,
        FEATURE_QUALITY,
        lambda: large.scan_feature_quality(
            context.engine, snapshot, material.matrix, material.split, run.as_of_us
        ),
    )
    if not is_fit:
        return None
    release_pages(material.matrix)
    names, columns = context.use_case.feature_set.names, context.use_case.columns
    return build_examples(snapshot, material, names, columns, kept_in)


def _material(
    run: CycleRun, large: LargeHistory, snapshot: ScannedRows, place: Workplace
) -> Material:
    steps: StepLog = run.steps
    with steps.step("features") as note:
        names = features_in_use(run.context)
        matrix = large.scan_features(snapshot, place)
        shards = place.shards(snapshot.height)
        note.rows, note.details = len(matrix), {"features": len(names), "shards": shards}
    split = split_step(steps, lambda: large.scan_split(snapshot, run.as_of_us))
    return Material(names, matrix, split, run.context.use_case.task)
