"""Rules and models together: which of them decides, and why.

The more severe of the model's decision and the matching rules' outcomes wins. `approve` rules
are the allow-list: they set the model's decision aside, but only where no block rule and no
review rule matches. A rule that could not be evaluated counts as a review rule.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..judgement import ANOMALY_COMPONENTS, APPROVE, Decision, Judgement
from ..rules.rulefile import Rule
from ..rules.ruleset import RuleFindings, RuleSet
from ..rules.variables import RuleEvidence, Value, readable

Reason = dict[str, Any]


class RowVerdict(NamedTuple):
    """The decision on one row; `reasons` hold the actual values, the decisive ones first."""

    decision: Decision
    reasons: list[Reason]
    matched_rules: tuple[str, ...]


def decide(model: Decision, findings: RuleFindings) -> Decision:
    """Combine the model's decision with the rules' outcomes."""
    outcomes = [rule.outcome for rule in findings.matched]
    if findings.failed:
        outcomes.append(Decision.REVIEW)
    if Decision.BLOCK in outcomes:
        return Decision.BLOCK
    if Decision.REVIEW in outcomes:
        return Decision.BLOCK if model is Decision.BLOCK else Decision.REVIEW
    return Decision.APPROVE if outcomes else model


def reach_verdict(rules: RuleSet, evidence: RuleEvidence) -> RowVerdict:
    """Evaluate the rules on one row and explain the outcome."""
    findings = rules.find(evidence)
    decision = decide(evidence.judgement.decision, findings)
    reasons = [_rule_reason(rule, rules.shown(rule, evidence)) for rule in findings.matched]
    reasons += [_failure_reason(rule) for rule in findings.failed]
    reasons += model_reasons(evidence.judgement)
    reasons.sort(key=lambda reason: reason["outcome"] != decision)
    return RowVerdict(decision, reasons, tuple([rule.id for rule in findings.matched]))


def model_reasons(judgement: Judgement) -> list[Reason]:
    """The reasons why the models alone would not approve; empty when they would."""
    if judgement.decision is APPROVE:
        return []
    reasons = _probability_reasons(judgement)
    if judgement.is_outlier:
        reasons += _outlier_reasons(judgement)
    if judgement.decision is Decision.REVIEW and not reasons:
        reasons.append(_reason("SCORE_UNUSABLE", Decision.REVIEW, "a score is not a number", {}))
    return reasons


def _probability_reasons(judgement: Judgement) -> list[Reason]:
    """The highest threshold that the probability has reached."""
    for outcome in (Decision.BLOCK, Decision.REVIEW):
        limit = judgement.thresholds[outcome]
        if judgement.probability >= limit:
            values = {
                "probability": readable(judgement.probability),
                f"threshold_{outcome}": readable(limit),
            }
            text = f"fraud probability at or above the {outcome} threshold"
            return [_reason(f"MODEL_{outcome.upper()}", outcome, text, values)]
    return []


def _outlier_reasons(judgement: Judgement) -> list[Reason]:
    reasons, scores = [], judgement.scores
    for name in ANOMALY_COMPONENTS:
        score, limit = scores[name], judgement.thresholds[name]
        if score > limit:
            values = {name: readable(score), f"threshold_{name}": readable(limit)}
            text = f"unlike the usual: {name} score above its threshold"
            reasons.append(_reason(f"OUTLIER_{name.upper()}", Decision.REVIEW, text, values))
    return reasons


def _rule_reason(rule: Rule, values: Mapping[str, Value]) -> Reason:
    return _reason(rule.reason_code, rule.outcome, rule.message, values, rule.id)


def _failure_reason(rule: Rule) -> Reason:
    text = "a rule could not be evaluated, so a person should look"
    return _reason("RULE_FAILED", Decision.REVIEW, text, {}, rule.id)


def _reason(
    code: str,
    outcome: Decision,
    text: str,
    shown: Mapping[str, Value],
    rule_id: str | None = None,
) -> Reason:
    listed = ", ".join([f"{name}={value}" for name, value in shown.items()])
    return {
        "code": code,
        "outcome": str(outcome),
        "message": f"{text} ({listed})" if listed else text,
        "values": shown,
        "rule": rule_id,
    }
