"""The limits a candidate had to meet, and each guardrail's result, read from the verdict.

The figures are those of the verdict; nothing is measured a second time for this page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.decision import METRICS
from scheduler.report.data import BINARY
from scheduler.report.words import metric_name, number, support_words
from scheduler.statistics.absolute import Path
from scheduler.statistics.policy import PromotionKind
from scheduler.statistics.verdict_numbers import COMPARED
from shared.tasks import Margin, Task, TaskKind
from shared.usecase.policy import PromotionPolicy
from shared.verdicts import Verdict

_GUARD = "guard."


@dataclass(frozen=True, slots=True)
class GuardRow:
    """One guardrail; `problem` says why it could not be measured, if so.

    Attributes:
        is_left_out: there is nothing to ask, and `problem` says why; that does not refuse.
    """

    name: str
    metric: str = ""
    gain: float | None = None
    tolerance: float | None = None
    positives: int | None = None
    p_harm: float | None = None
    is_harm: bool = False
    problem: str | None = None
    is_left_out: bool = False


@dataclass(frozen=True, slots=True)
class RulingTable:
    """The requirement, the remaining error budget of the year, and the guardrails."""

    asked: str
    spending: str | None
    guards: tuple[GuardRow, ...]
    guard_alpha: float | None


def ruling(
    policy: PromotionPolicy, verdicts: Sequence[Verdict], task: Task = BINARY
) -> RulingTable | None:
    """None where the run did not get as far as the metrics gate, or no path was taken."""
    verdict = next((item for item in verdicts if item.gate == METRICS), None)
    if verdict is None or "path" not in verdict.numbers:
        return None
    found = verdict.numbers
    alpha: Any = found.get("guard_alpha")
    return RulingTable(
        _asked(policy, found, task), _spending(found), tuple(_guards(found, alpha)), alpha
    )


def split_figures(numbers: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A verdict's figures, split from those of its guardrails, which have a table."""
    guards = {name: value for name, value in numbers.items() if name.startswith(_GUARD)}
    return {name: value for name, value in numbers.items() if name not in guards}, guards


def _asked(policy: PromotionPolicy, found: Mapping[str, Any], task: Task) -> str:
    least = f"on at least {policy.min_positives} {support_words(task)} with matured labels"
    simple = " It had to beat its baselines, too." if task.kind is TaskKind.RANKING else ""
    return _limits(policy, found, least) + simple


def _limits(policy: PromotionPolicy, found: Mapping[str, Any], least: str) -> str:
    if found["path"] in set(Path):
        if not policy.first_model_min:
            metric = metric_name(policy.primary_metric)
            return (
                f"Without a comparison: the lower bound of the gain in {metric} over the best "
                f"constant answer had to be above 0, {least}."
            )
        floors = ", ".join(
            f"{metric_name(name)} {floor:g}" for name, floor in policy.first_model_min.items()
        )
        return f"Without a comparison: the lower bounds had to reach {floors}, {least}."
    metric = metric_name(policy.primary_metric)
    if found.get("policy") == PromotionKind.SUPERIORITY:
        return f"Superiority: the lower bound of the gain in {metric} had to be above 0, {least}."
    age = found.get("champion_age_days")
    age_text = "of unknown age" if age is None else f"{age:.1f} days old"
    drift = "the data had drifted" if found.get("drifted") else "no drift was known"
    return (
        f"Non-inferiority and freshness: the lower bound of the gain in {metric} had to be above "
        f"-{Margin.parse(policy.margin)}, {least}, and the champion older than "
        f"{policy.champion_max_age_days:g} days (it was {age_text}) or the data drifted ({drift}); "
        "or the gain had to be above 0."
    )


def _spending(found: Mapping[str, Any]) -> str | None:
    if not found.get(COMPARED):
        return None
    return (
        f"Round {found['round_number']} of {found['rounds_per_year']} planned this year; it could "
        f"spend {number(found['alpha'])} of the year's error of {number(found['yearly_alpha'])}, "
        f"of which {number(found['alpha_left'])} remains."
    )


def _guards(found: Mapping[str, Any], alpha: float | None) -> list[GuardRow]:
    """Figures are named `guard.NAME.FIGURE`; a name may hold dots."""
    rows: dict[str, dict[str, Any]] = {}
    for key, value in found.items():
        if key.startswith(_GUARD):
            name, figure = key.removeprefix(_GUARD).rsplit(".", 1)
            rows.setdefault(name, {})[figure] = value
    return [_guard(name, figures, alpha) for name, figures in rows.items()]


def _guard(name: str, figures: Mapping[str, Any], alpha: float | None) -> GuardRow:
    p_harm, metric = figures.get("p_harm"), str(figures.get("metric", ""))
    return GuardRow(
        name=f"{metric_name(metric)}, all rows" if name == metric else name,
        metric=metric,
        gain=figures.get("gain"),
        tolerance=figures.get("tolerance"),
        positives=figures.get("positives"),
        p_harm=p_harm,
        is_harm=p_harm is not None and alpha is not None and p_harm <= alpha,
        problem=figures.get("unmeasured") or figures.get("left_out"),
        is_left_out="left_out" in figures,
    )
