"""Evaluation: champion and candidate score the same held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from learning.dataset.mapped import release_pages
from learning.export.parity import run_graph
from scheduler.cycle.as_of import AsOf
from scheduler.cycle.champion import Champion
from scheduler.cycle.context import CycleContext
from scheduler.cycle.examples import Examples
from scheduler.cycle.held_out_scores import held_out_scores
from scheduler.cycle.history import compared_this_year, has_drifted
from scheduler.cycle.packaging import Draft
from scheduler.gates import Contest
from scheduler.statistics.absolute import Interval, intervals
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.operating_figures import OperatingFigures, operating_figures
from scheduler.statistics.policy import from_promotion
from scheduler.statistics.sample import Bools
from scheduler.statistics.sample import Floats as Scores
from shared.clock import MICROS_PER_DAY, to_micros
from shared.scoring.model import Model
from shared.tasks import Task, TaskKind
from shared.usecase.columns import LABEL, TIME
from shared.usecase.learning import BASELINES
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
    candidate = _scored(context, draft.model, held_out_scores(draft.model, draft.raw, examples))
    scored = None
    if champion is not None and champion.model is not None:
        model = champion.model
        scored = _scored(context, model, held_out_scores(model, champion.raw, examples))
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


def _scored(context: CycleContext, model: Model, scores: FloatMatrix) -> _Scored:
    manifest, use_case = model.manifest, context.use_case
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
