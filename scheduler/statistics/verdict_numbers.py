"""Every figure a judgement rests on, under stable names, for the verdict's `numbers`."""

from scheduler.statistics.compare import MetricComparison
from scheduler.statistics.evidence import Evidence
from scheduler.statistics.guardrails import Guardrails
from scheduler.statistics.policy import JudgePolicy, alpha_left
from scheduler.statistics.sample import PairedSample
from shared.tasks import TaskKind

FRESH = "champion_fresh"
"""Set where a candidate is no worse, and the champion too young to be replaced by its like."""

Numbers = dict[str, float | int | str | bool | None]

COMPARED = "compared"
"""Set where both models were really compared: such a round has spent its share of the year."""


def context(evidence: Evidence, policy: JudgePolicy) -> Numbers:
    return {
        "policy": str(policy.kind),
        "primary_metric": policy.primary_metric,
        "margin": policy.margin,
        "champion_max_age_days": policy.champion_max_age_days,
        "min_positives": policy.min_positives,
        "yearly_alpha": policy.yearly_alpha,
        "rounds_per_year": policy.rounds_per_year,
        "guard_alpha": policy.guard_alpha,
        "resamples": policy.resamples,
        "seed": policy.seed,
        "round_number": evidence.round_number,
        "champion_age_days": evidence.champion_age_days,
        "drifted": evidence.drifted,
        **({} if evidence.forced_by is None else {"forced_by": evidence.forced_by}),
        "held_out_from_us": evidence.held_out_from_us,
        "trained_until_us": evidence.trained_until_us,
    }


def support_numbers(sample: PairedSample) -> Numbers:
    """The size of the judged sample."""
    if sample.task.kind is TaskKind.BINARY:
        return {"positives": sample.positives, "negatives": sample.negatives}
    support = sample.support
    return {"rows": len(sample.positive), "support": support.count, "support_of": support.what}


def alpha_numbers(evidence: Evidence, policy: JudgePolicy) -> Numbers:
    left = alpha_left(policy.yearly_alpha, policy.rounds_per_year, evidence.round_number)
    return {COMPARED: True, "alpha_left": left}


def comparison_numbers(name: str, result: MetricComparison) -> Numbers:
    return {
        f"{name}.champion": result.champion,
        f"{name}.candidate": result.candidate,
        f"{name}.gain": result.difference,
        f"{name}.lower": result.lower,
        f"{name}.upper": result.upper,
        f"{name}.p_value": result.p_value,
    }


def guard_numbers(guards: Guardrails) -> Numbers:
    figures: Numbers = {}
    for item in guards.measured:
        figures[f"guard.{item.name}.metric"] = item.comparison.metric
        figures[f"guard.{item.name}.gain"] = item.comparison.difference
        figures[f"guard.{item.name}.lower"] = item.comparison.lower
        figures[f"guard.{item.name}.upper"] = item.comparison.upper
        figures[f"guard.{item.name}.positives"] = item.comparison.positives
        figures[f"guard.{item.name}.tolerance"] = item.tolerance
        figures[f"guard.{item.name}.p_harm"] = item.p_harm
        if item.is_operating:
            figures[f"guard.{item.name}.champion"] = item.comparison.champion
            figures[f"guard.{item.name}.candidate"] = item.comparison.candidate
    for name, why in guards.unmeasured.items():
        figures[f"guard.{name}.unmeasured"] = why
    for name, why in guards.left_out.items():
        figures[f"guard.{name}.left_out"] = why
    return figures
