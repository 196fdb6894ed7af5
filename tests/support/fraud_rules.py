"""Evidence for rules, and rules compiled."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.transaction import Transaction
from shared.usecase.serving import ServedModel
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.judgement import Decision, judge
from usecases.fraud.rules.rulefile import Rule
from usecases.fraud.rules.ruleset import RuleSet
from usecases.fraud.rules.variables import RuleEvidence, Variable

NOW_US = 1_767_607_200_000_000  # 2026-01-05T10:00:00Z, a Monday


PLAIN_FEATURES = {
    "cnt_24h": 1.0,
    "cnt_7d": 6.0,
    "cnt_30d": 25.0,
    "avg_30d": 40.0,
    "amount_to_avg_30d": 1.0,
    "days_since_first_seen": 170.0,
    "secs_since_prev": 40_000.0,
    "same_merchant_cnt_30d": 2.0,
    "merchant_cnt_30d_lag": 60.0,
    "merchant_fraud_rate_7d_lag": 0.005,
    "merchant_fraud_rate_30d_lag": 0.005,
}


MODEL = ServedModel(
    version="1.0.3",
    components=("classifier", "isolation_forest", "autoencoder"),
    thresholds={"review": 0.5, "block": 0.9, "isolation_forest": 0.6, "autoencoder": 2.0},
)


PLAIN_TRANSACTION: Mapping[str, Any] = {
    "transaction_id": "t-1",
    "user_id": "u-1",
    "event_time_us": NOW_US,
    "ingested_at_us": NOW_US,
    "amount": 40.0,
    "currency": "EUR",
    "merchant_id": "m-1",
    "transaction_type": "purchase",
}


def make_evidence(
    features: Mapping[str, float] | None = None,
    scores: tuple[float, float, float] = (0.01, 0.4, 0.5),
    **fields: Any,
) -> RuleEvidence:
    known = PLAIN_FEATURES | dict(features or {})
    vector = np.array([known.get(name, 0.0) for name in FEATURE_SET.names], dtype=np.float32)
    return RuleEvidence(
        transaction=Transaction(**{**PLAIN_TRANSACTION, **fields}),
        features=vector.tolist(),
        judgement=judge(np.array(scores, dtype=np.float32), MODEL),
        model_version=MODEL.version,
    )


Table = Mapping[str, Variable]


def rule(when: str, rule_id: str = "probe", shows: tuple[str, ...] = ()) -> Rule:
    return Rule(
        id=rule_id,
        when=when,
        outcome=Decision.REVIEW,
        reason_code="PROBE",
        message="a probe",
        shows=shows,
    )


def compiled(table: Table, *whens: str) -> RuleSet:
    rules = [rule(when, f"probe_{n}") for n, when in enumerate(whens)]
    return RuleSet(rules, "1.0.0", table)
