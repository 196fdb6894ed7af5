"""Each rule that ships fires on the row it was written for, and not when its sign is absent."""

from typing import Any

import pytest

from usecases.fraud.rules.ruleset import RuleSet

Row = dict[str, Any]

# rule -> (a row it fires on, what to change so that it no longer does)
SPECIMENS: dict[str, tuple[Row, Row]] = {
    "card_testing_burst": (
        {"amount": 2.0, "features": {"cnt_10m": 12, "distinct_merchants_24h": 4}},
        {"features": {"cnt_10m": 9, "distinct_merchants_24h": 4}},
    ),
    "impossible_travel": (
        {
            "channel": "pos",
            "lat": 1.0,
            "lon": 1.0,
            "scores": (0.3, 0.1, 0.1),
            "features": {"kmh_from_prev": 4000, "km_from_prev": 2000},
        },
        {"channel": "online"},
    ),
    "compromised_merchant": (
        {
            "scores": (0.6, 0.1, 0.1),
            "features": {"merchant_fraud_rate_7d_lag": 0.4, "merchant_cnt_30d_lag": 30},
        },
        {"scores": (0.4, 0.1, 0.1)},
    ),
    "models_agree": ({"scores": (0.6, 0.7, 2.5)}, {"scores": (0.6, 0.7, 1.5)}),
    "velocity_hour": ({"features": {"cnt_1h": 8}}, {"features": {"cnt_1h": 7}}),
    "spending_burst": (
        {"amount": 900.0, "features": {"sum_24h_vs_30d_daily": 20, "sum_24h": 1200}},
        {"amount": 100.0},
    ),
    "amount_spike": (
        {"amount": 800.0, "features": {"amount_zscore_30d": 9}},
        {"features": {"amount_zscore_30d": 9, "cnt_30d": 3}},
    ),
    "amount_over_limit": ({"amount": 5000.0}, {"amount": 4999.99}),
    "anonymous_large": ({"amount": 2000.0, "user_id": "anonymous-1"}, {"user_id": "u-1"}),
    "new_user_large": (
        {"amount": 1000.0, "features": {"days_since_first_seen": 0.5}},
        {"user_id": "anonymous-1"},
    ),
    "dormant_user_returns": (
        {"amount": 500.0, "features": {"cnt_30d": 0}},
        {"features": {"cnt_30d": 1}},
    ),
    "night_cash_out": (
        {
            "amount": 400.0,
            "transaction_type": "withdrawal",
            "features": {"is_night": 1, "amount_to_avg_30d": 5},
        },
        {"transaction_type": "purchase"},
    ),
    "new_payee_transfer": (
        {
            "amount": 1000.0,
            "transaction_type": "transfer",
            "features": {"is_new_merchant_30d": 1, "is_round_amount": 1},
        },
        {"features": {"is_new_merchant_30d": 0, "is_round_amount": 1}},
    ),
    "many_merchants": (
        {"features": {"distinct_merchants_24h": 12}},
        {"features": {"distinct_merchants_24h": 11}},
    ),
    "far_from_home": (
        {
            "amount": 600.0,
            "lat": 1.0,
            "lon": 1.0,
            "home_lat": 50.0,
            "home_lon": 8.0,
            "features": {"km_from_home": 5000, "is_new_location_30d": 1},
        },
        {"home_lat": None, "home_lon": None},
    ),
    "risky_merchant": (
        {"features": {"merchant_fraud_rate_30d_lag": 0.2}},
        {"features": {"merchant_fraud_rate_30d_lag": 0.2, "merchant_cnt_30d_lag": 4}},
    ),
    "transfer_series": (
        {
            "amount": 900.0,
            "transaction_type": "transfer",
            "features": {"cnt_1h": 3, "sum_1h": 1200},
        },
        {"transaction_type": "purchase"},
    ),
    "stranger_refund": (
        {"amount": 500.0, "transaction_type": "refund", "features": {"is_new_merchant_30d": 1}},
        {"amount": 499.0},
    ),
    "trusted_habit": (
        {"amount": 12.0, "features": {"same_merchant_cnt_30d": 8}},
        {"scores": (0.95, 0.1, 0.1)},
    ),
    "small_refund": (
        {"amount": 20.0, "transaction_type": "refund"},
        {"features": {"is_new_merchant_30d": 1}},
    ),
}


def test_every_shipped_rule_has_a_specimen(shipped: RuleSet) -> None:
    assert [rule.id for rule in shipped.rules] == list(SPECIMENS)


@pytest.mark.parametrize("rule_id", SPECIMENS)
def test_a_shipped_rule_fires_on_its_specimen_only(
    shipped: RuleSet, evidence: Any, rule_id: str
) -> None:
    row, change = SPECIMENS[rule_id]
    assert rule_id in [rule.id for rule in shipped.find(evidence(**row)).matched]
    assert rule_id not in [rule.id for rule in shipped.find(evidence(**{**row, **change})).matched]


def test_no_rule_fires_on_a_plain_row(shipped: RuleSet, evidence: Any) -> None:
    findings = shipped.find(evidence())
    assert (findings.matched, findings.failed) == ((), ())


def test_every_shipped_rule_shows_values(shipped: RuleSet) -> None:
    assert all(rule.shows for rule in shipped.rules)
