"""Evaluation: champion and candidate score the same held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from scheduler.cycle.champion import Champion
from scheduler.cycle.examples import AMOUNT, ID, LABEL, TIME, USER, Examples
from scheduler.cycle.packaging import Draft
from scheduler.cycle.parts import Parts
from scheduler.cycle.past import compared_this_year, has_drifted
from scheduler.gates.contest import Contest
from scheduler.statistics.absolute import Interval, intervals
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.policy import from_promotion
from scheduler.statistics.sample import Floats as Scores
from shared.clock import MICROS_PER_DAY, to_micros
from shared.scoring.model import Model

SLICE = "slice: "


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The contest for the metrics gate, and both models' point estimates.

    Attributes:
        intervals: where the truth of the candidate's metrics may lie (95 %).
    """

    contest: Contest
    candidate_metrics: Mapping[str, float]
    champion_metrics: Mapping[str, float] | None
    intervals: Mapping[str, Interval]


def evaluate(
    parts: Parts, examples: Examples, draft: Draft, champion: Champion | None, as_of_us: int
) -> Evaluation:
    """Score the held-out rows with both models.

    Raises:
        DataUnavailable: what earlier runs spent cannot be read.
    """
    policy = parts.use_case.policy
    candidate = _headline(parts, draft.model, examples)
    scored = None
    if champion is not None and champion.model is not None:
        scored = _headline(parts, champion.model, examples)
    contest = Contest(
        evidence=_evidence(parts, examples, (candidate, scored), champion, as_of_us),
        champion_version=str(champion.version) if champion else None,
        new_recipe=draft.new_recipe,
        unscorable_reason=champion.unscorable_reason if champion else None,
    )
    return Evaluation(
        contest,
        _metrics(parts, candidate, examples),
        None if scored is None else _metrics(parts, scored, examples),
        intervals(contest.evidence, from_promotion(policy, policy.refresh, parts.seed)),
    )


def _evidence(
    parts: Parts,
    examples: Examples,
    scores: tuple[Scores, Scores | None],
    champion: Champion | None,
    as_of_us: int,
) -> Evidence:
    """The held-out rows with everything a judgement of them rests on.

    `scores` are the candidate's, and the champion's where it has any.
    """
    manifest = champion.manifest if champion else None
    made_us = to_micros(manifest.created_at) if manifest else None
    learned_from = [examples.training_data, *([manifest.training_data] if manifest else [])]
    return Evidence(
        champion=scores[1],
        candidate=scores[0],
        labels=examples.held_out_labels,
        customers=examples.customers(),
        days=examples.days(),
        amounts=examples.amounts(),
        slices=parts.use_case.slices(examples.held_out, examples.held_out_matrix),
        champion_age_days=None if made_us is None else (as_of_us - made_us) / MICROS_PER_DAY,
        drifted=has_drifted(parts.engine, made_us),
        round_number=compared_this_year(parts.engine, as_of_us) + 1,
        trained_until_us=max(to_micros(data.window_end) for data in learned_from),
        held_out_from_us=int(examples.held_out[TIME].to_numpy().min()),
    )


def held_out_rows(examples: Examples, evaluation: Evaluation) -> pl.DataFrame:
    """The held-out rows with all a judgement takes from them: enough to repeat it.

    Features under their names, who the rows belong to, when they happened, what was at
    stake, and membership of each slice as `slice: NAME`.
    """
    rows = examples.held_out
    kept = [name for name in (ID, USER, TIME, AMOUNT) if name in rows.columns]
    taken = {LABEL: examples.held_out_labels} | {
        f"{SLICE}{name}": mask for name, mask in evaluation.contest.evidence.slices.items()
    }
    features = pl.DataFrame(examples.held_out_matrix, schema=list(examples.all_names))
    # a feature may have the name of the column it was made of: the column makes way
    told = rows.select(name for name in kept if name not in examples.all_names)
    return pl.concat([told, pl.DataFrame(taken), features], how="horizontal")


def _headline(parts: Parts, model: Model, examples: Examples) -> Scores:
    rows = examples.held_out_columns(model.manifest.feature_names)
    return parts.use_case.headline(model.score(rows))


def _metrics(parts: Parts, scores: Scores, examples: Examples) -> Mapping[str, float]:
    return parts.use_case.metrics(scores, examples.held_out_labels, examples.held_out)
