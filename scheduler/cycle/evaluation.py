"""Evaluation: champion and candidate score the same held-out rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from scheduler.cycle.champion import Champion
from scheduler.cycle.examples import ID, LABEL, Examples
from scheduler.cycle.packaging import Draft
from scheduler.cycle.parts import Parts
from scheduler.gates.contest import Contest, Scores
from shared.clock import MICROS_PER_DAY, to_micros
from shared.scoring.session import OnnxModel


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The contest for the metrics gate, and both models' point estimates."""

    contest: Contest
    candidate_metrics: Mapping[str, float]
    champion_metrics: Mapping[str, float] | None


def evaluate(
    parts: Parts, examples: Examples, draft: Draft, champion: Champion | None, as_of_us: int
) -> Evaluation:
    """Score the held-out rows with both models."""
    candidate = _headline(parts, draft.model, examples)
    candidate_metrics = _metrics(parts, candidate, examples)
    scored = None
    if champion is not None and champion.model is not None:
        scored = _headline(parts, champion.model, examples)
    contest = Contest(
        labels=examples.held_out_labels,
        clusters=examples.clusters(),
        candidate=candidate,
        champion=scored,
        champion_version=str(champion.version) if champion else None,
        champion_age_days=_age_days(champion, as_of_us),
        new_recipe=draft.new_recipe,
        unscorable_reason=champion.unscorable_reason if champion else None,
        metrics=candidate_metrics,
    )
    champion_metrics = None if scored is None else _metrics(parts, scored, examples)
    return Evaluation(contest, candidate_metrics, champion_metrics)


def held_out_rows(examples: Examples) -> pl.DataFrame:
    """Ids, labels and features of the held-out rows: enough to repeat the judgement."""
    features = pl.DataFrame(examples.held_out_matrix, schema=list(examples.all_names))
    return pl.concat(
        [
            examples.held_out.select(ID),
            pl.DataFrame({LABEL: examples.held_out_labels}),
            features,
        ],
        how="horizontal",
    )


def _headline(parts: Parts, model: OnnxModel, examples: Examples) -> Scores:
    rows = examples.held_out_columns(model.manifest.feature_names)
    return parts.use_case.headline(model.score(rows))


def _metrics(parts: Parts, scores: Scores, examples: Examples) -> Mapping[str, float]:
    return parts.use_case.metrics(scores, examples.held_out_labels, examples.held_out)


def _age_days(champion: Champion | None, as_of_us: int) -> float | None:
    if champion is None or champion.manifest is None:
        return None
    return (as_of_us - to_micros(champion.manifest.created_at)) / MICROS_PER_DAY
