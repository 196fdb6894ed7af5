"""POST /api/analyze-transaction: rules and models together, with every reason spelt out."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.transaction import Transaction
from shared.usecase.serving import Answer, FloatVector, ServedModel

from ..judgement import Decision, Judgement, judge
from ..rules.ruleset import RuleSet
from ..rules.variables import RuleEvidence
from .verdict import RowVerdict, reach_verdict

RiskLevel = Literal["low", "medium", "high", "critical"]


class ReasonCode(BaseModel):
    """One reason with the values that were actually seen."""

    model_config = ConfigDict(extra="forbid")

    code: str
    outcome: Decision = Field(description="What this reason alone asks for.")
    message: str
    values: dict[str, bool | int | float | str]
    rule: str | None = Field(description="The rule that gave it; null when a model did.")


class AnalysisResponse(BaseModel):
    """The decision on one transaction and everything it rests on."""

    model_config = ConfigDict(extra="forbid")

    transaction_id: str
    decision: Decision
    risk_level: RiskLevel = Field(
        description="critical: blocked; high: to review; medium: approved, although a reason "
        "spoke against it or the probability is above half the review threshold; low: the rest."
    )
    probability: float
    reason_codes: list[ReasonCode] = Field(description="The decisive ones come first.")
    matched_rules: list[str]
    scores: dict[str, float] = Field(
        description="Each component's own score: classifier, isolation_forest, autoencoder."
    )
    is_outlier: bool
    anomaly_score: float
    version: str = Field(description="The model that scored.")
    rules_version: str
    message: str


class Analyst:
    """Answers with rules and models; one per loaded rule file."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules

    def __call__(
        self,
        transaction: Transaction,
        vector: FloatVector,
        scores: FloatVector,
        model: ServedModel,
    ) -> Answer:
        judgement = judge(scores, model)
        evidence = RuleEvidence(transaction, vector.tolist(), judgement, model.version)
        verdict = reach_verdict(self._rules, evidence)
        return Answer(
            body=self._body(evidence, verdict),
            score=judgement.probability,
            decision=str(verdict.decision),
            matched_rules=verdict.matched_rules,
            reason_codes=verdict.reasons,
        )

    def _body(self, evidence: RuleEvidence, verdict: RowVerdict) -> dict[str, Any]:
        judgement = evidence.judgement
        return {
            "transaction_id": evidence.transaction.transaction_id,
            "decision": str(verdict.decision),
            "risk_level": risk_level(verdict, judgement),
            "probability": judgement.probability,
            "reason_codes": verdict.reasons,
            "matched_rules": list(verdict.matched_rules),
            "scores": judgement.scores,
            "is_outlier": judgement.is_outlier,
            "anomaly_score": judgement.anomaly_score,
            "version": evidence.model_version,
            "rules_version": self._rules.version,
            "message": verdict.reasons[0]["message"] if verdict.reasons else "nothing unusual",
        }


def risk_level(verdict: RowVerdict, judgement: Judgement) -> RiskLevel:
    """The priority of the row for a person's review."""
    if verdict.decision is Decision.BLOCK:
        return "critical"
    if verdict.decision is Decision.REVIEW:
        return "high"
    waived = any(reason["outcome"] != "approve" for reason in verdict.reasons)
    raised = judgement.probability >= judgement.thresholds["review"] / 2
    return "medium" if waived or raised else "low"
