"""The features in their order, with their groups and the version of all."""

from shared.clock import MICROS_PER_DAY
from shared.usecase.serving import FeatureSet

LABEL_DELAY_US = 7 * MICROS_PER_DAY
"""The lag of the merchant's fraud rates, so that labels have arrived."""

MAX_PRIOR_ROWS = 2_048
"""The maximum number of a user's prior rows that count: the newest of the last 30 days.

Part of the definition of every feature that examines prior rows. It bounds the cost of one row for
any length of history; only `days_since_first_seen` looks further back.
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "amount": (
        "amount",
        "amount_log1p",
        "is_round_amount",
        "amount_to_avg_30d",
        "amount_zscore_30d",
        "amount_to_max_30d",
    ),
    "time": ("hour_sin", "hour_cos", "dow_sin", "dow_cos", "is_weekend", "is_night"),
    "velocity": (
        "cnt_10m",
        "cnt_1h",
        "cnt_24h",
        "cnt_7d",
        "cnt_30d",
        "sum_1h",
        "sum_24h",
        "sum_7d",
        "sum_30d",
        "avg_7d",
        "avg_30d",
    ),
    "behaviour": (
        "secs_since_prev",
        "days_since_first_seen",
        "cnt_24h_vs_30d_daily",
        "sum_24h_vs_30d_daily",
        "hour_bucket_share_30d",
        "amount_to_prev",
    ),
    "counterparty": (
        "is_new_merchant_30d",
        "same_merchant_cnt_30d",
        "distinct_merchants_24h",
        "distinct_merchants_30d",
        "is_new_category_30d",
        "category_share_30d",
    ),
    "geo": ("km_from_home", "km_from_prev", "kmh_from_prev", "is_new_location_30d"),
    "merchant_risk": (
        "merchant_cnt_24h",
        "merchant_cnt_30d_lag",
        "merchant_fraud_rate_7d_lag",
        "merchant_fraud_rate_30d_lag",
    ),
}

KERNEL_FEATURES = sum(len(names) for names in GROUPS.values())
"""The numbers that the kernel computes come first; then come the codes of categories."""

CODES: tuple[str, ...] = (
    "transaction_type_code",
    "merchant_category_code",
    "channel_code",
    "country_code",
)
"""The categorical fields of the row, in the order of `categories.COLUMNS`.
"""

GROUPS["categories"] = CODES

FEATURE_SET = FeatureSet(
    version="2",
    names=tuple(name for names in GROUPS.values() for name in names),
    groups={name: group for group, names in GROUPS.items() for name in names},
    categories=frozenset(CODES),
    # version 1 had no codes; its features are the same to the last bit
    older={"1": KERNEL_FEATURES},
)
