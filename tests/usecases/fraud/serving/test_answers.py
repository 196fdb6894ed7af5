"""Answers: who decides, and what the caller and the journal get to read."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shared.usecase.serving import Answer, ServedModel
from usecases.fraud.answers.analysis import AnalysisResponse, Analyst
from usecases.fraud.answers.examples import EXAMPLES
from usecases.fraud.answers.predict import PredictionResponse, predict
from usecases.fraud.answers.verdict import decide
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.judgement import Decision, judge
from usecases.fraud.requests import TransactionRequest, to_transaction
from usecases.fraud.rules.rulefile import Rule
from usecases.fraud.rules.ruleset import RuleFindings, RuleSet
from usecases.fraud.rules.variables import RuleEvidence, variable_table

APPROVE, REVIEW, BLOCK = Decision.APPROVE, Decision.REVIEW, Decision.BLOCK
NOW_US = 1_767_609_000_000_000


def rule(outcome: Decision, when: str = "true", rule_id: str = "probe") -> Rule:
    return Rule(
        id=rule_id,
        when=when,
        outcome=outcome,
        reason_code="PROBE",
        message="a probe",
        shows=("amount", "merchant_fraud_rate_7d_lag"),
    )


def analyse(evidence: RuleEvidence, model: ServedModel, rules: RuleSet) -> Answer:
    vector = np.array(evidence.features, dtype=np.float32)
    judged = evidence.judgement.scores
    scores = np.array([judged[name] for name in model.components], dtype=np.float32)
    return Analyst(rules)(evidence.transaction, vector, scores, model)


@pytest.mark.parametrize(
    ("scores", "decision"),
    [
        ((0.1, 0.1, 0.1), APPROVE),
        ((0.5, 0.1, 0.1), REVIEW),
        ((0.1, 0.7, 0.1), REVIEW),
        ((0.1, 0.1, 2.1), REVIEW),
        ((0.9, 0.1, 0.1), BLOCK),
        ((float("nan"), 0.1, 0.1), REVIEW),
        ((0.1, float("nan"), 0.1), REVIEW),
    ],
)
def test_the_models_thresholds_decide(
    scores: tuple[float, ...], decision: Decision, model: ServedModel
) -> None:
    exact = {**model.thresholds, "block": float(np.float32(0.9))}
    model = ServedModel(model.version, model.components, exact)
    assert judge(np.array(scores, dtype=np.float32), model).decision is decision


def test_a_model_without_anomaly_components_has_no_outliers() -> None:
    judgement = judge(np.array([0.2], dtype=np.float32), ServedModel("1.0.0", ("classifier",), {}))
    assert judgement.decision is APPROVE
    assert not judgement.is_outlier
    assert judgement.anomaly_score == 0.0


def test_two_models_judged_in_turn_keep_their_own_thresholds_and_components() -> None:
    strict = ServedModel(
        "1.0.0", ("classifier", "autoencoder"), {"review": 0.1, "autoencoder": 2.0}
    )
    lenient = ServedModel("1.1.0", ("classifier",), {"review": 0.8})
    for _ in range(2):
        judged = judge(np.array([0.3, 3.0], dtype=np.float32), strict)
        assert (judged.decision, judged.is_outlier, judged.anomaly_score) == (REVIEW, True, 1.5)
        assert list(judged.scores) == ["classifier", "autoencoder", "isolation_forest"]
        assert judge(np.array([0.3], dtype=np.float32), lenient).decision is APPROVE


@pytest.mark.parametrize(
    ("model_says", "outcomes", "failed", "decision"),
    [
        (APPROVE, [], False, APPROVE),
        (REVIEW, [], False, REVIEW),
        (BLOCK, [], False, BLOCK),
        (APPROVE, [REVIEW], False, REVIEW),
        (APPROVE, [BLOCK], False, BLOCK),
        (APPROVE, [REVIEW, BLOCK, APPROVE], False, BLOCK),
        (BLOCK, [REVIEW], False, BLOCK),
        (BLOCK, [APPROVE], False, APPROVE),
        (BLOCK, [APPROVE, REVIEW], False, BLOCK),
        (REVIEW, [APPROVE], False, APPROVE),
        (REVIEW, [APPROVE, REVIEW], False, REVIEW),
        (APPROVE, [], True, REVIEW),
        (APPROVE, [APPROVE], True, REVIEW),
        (APPROVE, [BLOCK], True, BLOCK),
    ],
)
def test_the_precedence_of_rules_and_models(
    model_says: Decision, outcomes: list[Decision], failed: bool, decision: Decision
) -> None:
    findings = RuleFindings(tuple(rule(o) for o in outcomes), (rule(BLOCK),) if failed else ())
    assert decide(model_says, findings) is decision


def test_a_block_rule_always_blocks_and_a_failed_rule_never_approves() -> None:
    for model_says, others, failed in product(Decision, product([False, True], repeat=3), (0, 1)):
        matched = [rule(o) for o, present in zip(Decision, others, strict=True) if present]
        decision = decide(model_says, RuleFindings(tuple(matched), (rule(REVIEW),) * failed))
        if others[2]:
            assert decision is BLOCK
        if failed or others[1]:
            assert decision is not APPROVE


def test_reasons_carry_the_actual_values_and_the_decisive_ones_come_first(
    model: ServedModel, evidence: Any
) -> None:
    rules = RuleSet(
        [rule(REVIEW, rule_id="mild"), rule(BLOCK, rule_id="hard")],
        "4.5.6",
        variable_table(FEATURE_SET),
    )
    row = evidence(features={"merchant_fraud_rate_7d_lag": 0.3}, amount=129.95)
    answer = analyse(row, model, rules)
    assert answer.decision == "block"
    assert answer.body["rules_version"] == "4.5.6"
    assert answer.body["matched_rules"] == ["mild", "hard"]
    first = answer.body["reason_codes"][0]
    assert first == {
        "code": "PROBE",
        "outcome": "block",
        "message": "a probe (amount=129.95, merchant_fraud_rate_7d_lag=0.3)",
        "values": {"amount": 129.95, "merchant_fraud_rate_7d_lag": 0.3},
        "rule": "hard",
    }
    assert answer.body["message"] == first["message"]


def test_an_allowed_row_still_tells_what_the_model_said(model: ServedModel, evidence: Any) -> None:
    rules = RuleSet([rule(APPROVE)], "1.0.0", variable_table(FEATURE_SET))
    answer = analyse(evidence(scores=(0.95, 0.1, 0.1)), model, rules)
    assert answer.decision == "approve"
    assert answer.body["risk_level"] == "medium"
    assert [reason["code"] for reason in answer.reason_codes] == ["PROBE", "MODEL_BLOCK"]


def test_a_rule_that_fails_sends_the_row_to_review_and_says_so(
    model: ServedModel, evidence: Any
) -> None:
    rules = RuleSet([rule(BLOCK, "1 / (cnt_1h - 7) > 5")], "1.0.0", variable_table(FEATURE_SET))
    answer = analyse(evidence(features={"cnt_1h": 7.0}), model, rules)
    assert answer.decision == "review"
    assert answer.reason_codes[0]["code"] == "RULE_FAILED"
    assert answer.reason_codes[0]["rule"] == "probe"
    assert answer.matched_rules == ()


@pytest.mark.parametrize(
    ("scores", "decision", "risk", "codes"),
    [
        ((0.01, 0.4, 0.5), "approve", "low", []),
        ((0.3, 0.4, 0.5), "approve", "medium", []),
        ((0.6, 0.4, 0.5), "review", "high", ["MODEL_REVIEW"]),
        ((0.01, 0.7, 2.5), "review", "high", ["OUTLIER_ISOLATION_FOREST", "OUTLIER_AUTOENCODER"]),
        ((0.95, 0.4, 0.5), "block", "critical", ["MODEL_BLOCK"]),
        ((float("nan"), 0.4, 0.5), "review", "high", ["SCORE_UNUSABLE"]),
    ],
)
def test_the_analysis_of_a_row_that_no_rule_matches(
    scores: tuple[float, float, float],
    decision: str,
    risk: str,
    codes: list[str],
    shipped: RuleSet,
    model: ServedModel,
    evidence: Any,
) -> None:
    answer = analyse(evidence(scores=scores), model, shipped)
    assert (answer.decision, answer.body["risk_level"]) == (decision, risk)
    assert [reason["code"] for reason in answer.reason_codes] == codes


@pytest.mark.parametrize("scores", [(0.01, 0.4, 0.5), (0.6, 0.7, 0.5), (0.95, 0.7, 2.5)])
def test_bodies_have_exactly_the_documented_shape(
    scores: tuple[float, float, float], shipped: RuleSet, model: ServedModel, evidence: Any
) -> None:
    row = evidence(scores=scores, amount=9000.0)
    analysis = analyse(row, model, shipped)
    AnalysisResponse.model_validate_json(orjson.dumps(analysis.body))
    vector = np.array(row.features, dtype=np.float32)
    prediction = predict(row.transaction, vector, np.array(scores, dtype=np.float32), model)
    PredictionResponse.model_validate_json(orjson.dumps(prediction.body))
    assert set(prediction.body) == set(PredictionResponse.model_fields)
    assert set(analysis.body) == set(AnalysisResponse.model_fields)


def test_a_prediction_says_fraud_review_and_outlier_apart(
    model: ServedModel, evidence: Any
) -> None:
    row = evidence()
    vector = np.array(row.features, dtype=np.float32)
    answers = {
        scores: predict(row.transaction, vector, np.array(scores, dtype=np.float32), model).body
        for scores in [(0.95, 0.3, 1.0), (0.6, 0.3, 1.0), (0.1, 0.3, 3.0), (0.1, 0.3, 1.0)]
    }
    told = [(a["is_fraud"], a["review_required"], a["is_outlier"]) for a in answers.values()]
    assert told == [
        (True, False, False),
        (False, True, False),
        (False, True, True),
        (False, False, False),
    ]
    assert answers[(0.1, 0.3, 3.0)]["anomaly_score"] == 1.5
    assert answers[(0.1, 0.3, 1.0)]["message"] == "nothing unusual"


def test_the_suspicious_example_matches_rules_whatever_the_model_says(
    shipped: RuleSet, model: ServedModel
) -> None:
    request = TransactionRequest.model_validate(EXAMPLES["suspicious"])
    transaction = to_transaction(request, NOW_US)
    vector = np.zeros(len(FEATURE_SET.names), dtype=np.float32)
    scores = np.array([0.01, 0.1, 0.1], dtype=np.float32)
    answer = Analyst(shipped)(transaction, vector, scores, model)
    assert answer.decision == "review"
    assert "amount_over_limit" in answer.matched_rules


def test_the_rule_file_that_ships_states_a_version(shipped: RuleSet) -> None:
    assert f'version = "{shipped.version}"' in Path("usecases/fraud/rules.toml").read_text()
