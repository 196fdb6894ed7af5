"""Evaluation: champion and candidate score the same held-out rows.

In memory that happens at once, over files by shards of the run's executor. A shard is a range of
rows; its scores, a few numbers a row, are what comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from learning.dataset.large import Workplace
from learning.dataset.mapped import map_matrix, passes, release_pages
from learning.export.parity import run_graph
from scheduler.cycle.as_of import AsOf
from scheduler.cycle.champion import Champion
from scheduler.cycle.context import CycleContext
from scheduler.cycle.examples import Examples
from scheduler.cycle.packaging import Draft
from scheduler.gates import Contest
from scheduler.run_history import compared_this_year, has_drifted
from scheduler.statistics.absolute import Interval, intervals
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.operating_figures import OperatingFigures, operating_figures
from scheduler.statistics.policy import from_promotion
from scheduler.statistics.sample import Bools
from scheduler.statistics.sample import Floats as Scores
from shared.bundle.archive import unpack
from shared.clock import MICROS_PER_DAY, to_micros
from shared.scoring.model import Model
from shared.scoring.session import OnnxModel
from shared.system.files import replacing
from shared.tasks import Task, TaskKind
from shared.usecase.learning import BASELINES
from shared.usecase.rows import LABEL, TIME
from shared.usecase.serving import FloatMatrix

SLICE = "slice: "


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The contest for the metrics gate, and both models' point estimates.

    Attributes:
        intervals: where the truth of the candidate's metrics may lie (95 %).
        operating: what both models' alerts are worth at the thresholds they are served with.
        headline: one number a row of the candidate, by which drift is looked for.
    """

    contest: Contest
    candidate_metrics: Mapping[str, float]
    champion_metrics: Mapping[str, float] | None
    intervals: Mapping[str, Interval]
    operating: OperatingFigures
    headline: Scores


@dataclass(frozen=True, slots=True)
class _Scored:
    """The held-out rows as one model sees them; `alerts` by its own thresholds.

    Attributes:
        predicted: the input of the metrics: the headline score, or all outputs of the task.
    """

    headline: Scores
    predicted: Scores
    alerts: Bools


def evaluate(
    context: CycleContext,
    examples: Examples,
    draft: Draft,
    champion: Champion | None,
    as_of: AsOf,
    *,
    forced_by: str | None = None,
) -> Evaluation:
    """Score the held-out rows with both models.

    Raises:
        DataUnavailable: what earlier runs spent cannot be read.
    """
    policy = from_promotion(context.use_case.policy, context.use_case.policy.refresh, context.seed)
    candidate = _scored(context, draft.model, draft.raw, examples)
    scored = None
    if champion is not None and champion.model is not None:
        scored = _scored(context, champion.model, champion.raw, examples)
    contest = Contest(
        evidence=replace(
            _evidence(context, examples, (candidate, scored), champion, as_of),
            forced_by=forced_by,
            baselines=_baselines(draft, examples, context.use_case.task),
        ),
        champion_version=str(champion.version) if champion else None,
        new_recipe=draft.new_recipe,
        unscorable_reason=champion.unscorable_reason if champion else None,
    )
    is_binary = context.use_case.task.kind is TaskKind.BINARY
    operating = operating_figures(contest.evidence, policy) if is_binary else OperatingFigures()
    served = None
    if scored is not None:
        served = {**_metrics(context, scored.predicted, examples), **operating.champion}
    return Evaluation(
        contest,
        {**_metrics(context, candidate.predicted, examples), **operating.candidate},
        served,
        {**intervals(contest.evidence, policy), **operating.intervals},
        operating,
        candidate.headline,
    )


def _evidence(
    context: CycleContext,
    examples: Examples,
    scored: tuple[_Scored, _Scored | None],
    champion: Champion | None,
    as_of: AsOf,
) -> Evidence:
    """The held-out rows with everything a judgement of them rests on.

    `scored` are the candidate's scores, and the champion's where it has any.
    """
    manifest = champion.manifest if champion else None
    made_us = to_micros(manifest.created_at) if manifest else None
    candidate, other = scored
    champion_scores = None if other is None else other.predicted
    learned_from = [examples.training_data, *([manifest.training_data] if manifest else [])]
    return Evidence(
        champion=champion_scores,
        candidate=candidate.predicted,
        labels=examples.held_out_labels,
        customers=examples.customers(),
        days=examples.days(),
        amounts=examples.amounts(),
        slices=context.use_case.slices(examples.held_out, examples.held_out_matrix),
        champion_alerts=None if other is None else other.alerts,
        candidate_alerts=candidate.alerts,
        champion_age_days=None if made_us is None else (as_of.as_of_us - made_us) / MICROS_PER_DAY,
        drifted=has_drifted(context.engine, made_us, as_of.as_of_us),
        round_number=compared_this_year(context.engine, as_of.began_us) + 1,
        trained_until_us=max(to_micros(data.window_end) for data in learned_from),
        held_out_from_us=_first_us(examples) if examples.is_by_time else None,
        task=context.use_case.task,
    )


def _first_us(examples: Examples) -> int:
    return int(examples.held_out[TIME].to_numpy().min())


def _scored(context: CycleContext, model: Model, raw: bytes | None, examples: Examples) -> _Scored:
    manifest, use_case = model.manifest, context.use_case
    scores = held_out_scores(model, raw, examples)
    alerts = use_case.alerts(scores, manifest.components, manifest.thresholds)
    headline = use_case.headline(scores)
    is_binary = use_case.task.kind is TaskKind.BINARY
    return _Scored(headline, headline if is_binary else use_case.task.predictions(scores), alerts)


def _baselines(draft: Draft, examples: Examples, task: Task) -> Mapping[str, Scores]:
    """Scores of the simple models that were trained beside the candidate."""
    rows = examples.held_out_columns(draft.manifest.feature_names)
    return {
        path.removeprefix(BASELINES).removesuffix(".onnx"): task.predictions(run_graph(raw, rows))
        for path, raw in draft.files.items()
        if path.startswith(BASELINES)
    }


def _metrics(context: CycleContext, scores: Scores, examples: Examples) -> Mapping[str, float]:
    return context.use_case.metrics(scores, examples.held_out_labels, examples.held_out)


def held_out_rows(examples: Examples, evaluation: Evaluation) -> pl.DataFrame:
    """The held-out rows with all a judgement takes from them: enough to repeat it.

    Features under their names, who the rows belong to, when they happened, what was at
    stake, and membership of each slice as `slice: NAME`.
    """
    rows, columns = examples.held_out, examples.columns
    about = (columns.row_id, columns.entity, TIME, columns.stake)
    kept = [name for name in about if name is not None and name in rows.columns]
    taken = {LABEL: examples.held_out_labels} | {
        f"{SLICE}{name}": mask for name, mask in evaluation.contest.evidence.slices.items()
    }
    features = pl.DataFrame(examples.held_out_matrix, schema=list(examples.all_names))
    release_pages(examples.held_out_matrix)
    # a feature may have the name of its source column: the feature wins
    told = rows.select(name for name in kept if name not in examples.all_names)
    return pl.concat([told, pl.DataFrame(taken), features], how="horizontal")


@dataclass(frozen=True, slots=True)
class _Scoring:
    """Shared by all shards: files, and the columns that the model reads, by position.

    Attributes:
        width: number of features in a row of the file.
    """

    bundle: Path
    features: Path
    width: int
    columns: npt.NDArray[np.int64]


def held_out_scores(model: Model, raw: bytes | None, examples: Examples) -> FloatMatrix:
    """Component scores of all held-out rows, in their order.

    `raw` is the bundle of `model`, from which it is loaded where a shard is scored. A model that
    is not a graph scores in this process.

    Raises:
        TaskFailed: names the rows and says why.
    """
    names, file = model.manifest.feature_names, examples.held_out_file
    if file is None or raw is None or not isinstance(model, OnnxModel):
        return model.score(examples.held_out_columns(names))
    bundle = file.place.folder / f"{model.manifest.version}.bundle"
    with replacing(bundle) as new:
        new.write_bytes(raw)
    columns = np.array([examples.all_names.index(name) for name in names], dtype=np.int64)
    shared = _Scoring(bundle, file.path, len(examples.all_names), columns)
    return _by_shards(file.place, shared, len(examples.held_out_labels))


def _by_shards(place: Workplace, shared: _Scoring, rows: int) -> FloatMatrix:
    step = place.rows_per_shard
    shards = [(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
    names = [f"scores of held-out rows {begin} to {end}" for begin, end in shards]
    return np.concatenate(place.map(_score_shard, shared, shards, names))


def _score_shard(shared: _Scoring, shard: tuple[int, int]) -> FloatMatrix:
    """The scores of a range of rows; read in parts, as a graph holds several numbers a row."""
    model = OnnxModel.load(unpack(shared.bundle.read_bytes()))
    rows = map_matrix(shared.features, shared.width)[slice(*shard)]
    parts = [model.score(np.ascontiguousarray(part[:, shared.columns])) for part in passes(rows)]
    release_pages(rows)
    return np.concatenate(parts)
