"""Rules and models together: which of them decides, and why.

The more severe of the model's decision and the matching rules' outcomes wins. `approve` rules
are the allow-list: they set the model's decision aside, but only where no block rule and no
review rule matches. A rule that could not be evaluated counts as a review rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usecases.fraud.judgement import ANOMALY_COMPONENTS, Decision, Judgement
from usecases.fraud.rules.rulefile import Rule
from usecases.fraud.rules.ruleset import Findings, RuleSet
from usecases.fraud.rules.variables import Evidence, Value

SEVERITY = {Decision.APPROVE: 0, Decision.REVIEW: 1, Decision.BLOCK: 2}

Reason = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one row; `reasons` hold the actual values, the decisive ones first."""

    decision: Decision
    reasons: tuple[Reason, ...]
    matched_rules: tuple[str, ...]


def decide(model: Decision, findings: Findings) -> Decision:
    """Combine the model's decision with the rules' outcomes."""
    outcomes = {rule.outcome for rule in findings.matched}
    if findings.failed:
        outcomes.add(Decision.REVIEW)
    if outcomes == {Decision.APPROVE}:
        return Decision.APPROVE
    return max(outcomes | {model}, key=SEVERITY.__getitem__)


def reach_verdict(rules: RuleSet, evidence: Evidence) -> Verdict:
    """Evaluate the rules on one row and explain the outcome."""
    findings = rules.find(evidence)
    decision = decide(evidence.judgement.decision, findings)
    reasons = [_rule_reason(rule, rules.shown(rule, evidence)) for rule in findings.matched]
    reasons += [_failure_reason(rule) for rule in findings.failed]
    reasons += model_reasons(evidence.judgement)
    reasons.sort(key=lambda reason: reason["outcome"] != decision)
    matched = tuple(rule.id for rule in findings.matched)
    return Verdict(decision=decision, reasons=tuple(reasons), matched_rules=matched)


def model_reasons(judgement: Judgement) -> list[Reason]:
    """Why the models alone would not approve; nothing when they would."""
    if judgement.decision is Decision.APPROVE:
        return []
    reasons = []
    for name in ("block", "review"):
        limit = judgement.thresholds[name]
        if judgement.probability >= limit:
            values = {"probability": judgement.probability, f"threshold_{name}": limit}
            text = f"fraud probability at or above the {name} threshold"
            reasons.append(_reason(f"MODEL_{name.upper()}", Decision(name), text, values))
            break
    for name in ANOMALY_COMPONENTS:
        score, limit = judgement.scores[name], judgement.thresholds[name]
        if score > limit:
            values = {name: score, f"threshold_{name}": limit}
            text = f"unlike the usual: {name} score above its threshold"
            reasons.append(_reason(f"OUTLIER_{name.upper()}", Decision.REVIEW, text, values))
    if judgement.decision is Decision.REVIEW and not reasons:
        reasons.append(_reason("SCORE_UNUSABLE", Decision.REVIEW, "a score is not a number", {}))
    return reasons


def _rule_reason(rule: Rule, values: dict[str, Value]) -> Reason:
    return {**_reason(rule.reason_code, rule.outcome, rule.message, values), "rule": rule.id}


def _failure_reason(rule: Rule) -> Reason:
    text = "a rule could not be evaluated, so a person should look"
    return {**_reason("RULE_FAILED", Decision.REVIEW, text, {}), "rule": rule.id}


def _reason(code: str, outcome: Decision, text: str, values: Mapping[str, Value]) -> Reason:
    shown = {name: _plain(value) for name, value in values.items()}
    told = ", ".join(f"{name}={value}" for name, value in shown.items())
    return {
        "code": code,
        "outcome": outcome.value,
        "message": f"{text} ({told})" if told else text,
        "values": shown,
        "rule": None,
    }


def _plain(value: Value) -> Value:
    # float32 features come as 0.30000001192; people want 0.3
    return round(value, 6) if isinstance(value, float) else value
