"""The definitions of the features once more, slow and obvious, in the words of the table."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import cast

from shared.transaction import Label, Transaction
from tests.usecases.fraud.features.frames import DAY, HOUR, MINUTE, SECOND
from usecases.fraud.features.categories import CHANNELS, COUNTRIES, MERCHANT_CATEGORIES, TYPES

SETTLE = 120 * SECOND
LAG = 7 * 24


def features(
    row: Transaction, rows: Sequence[Transaction], labels: Mapping[str, Label], most: int
) -> dict[str, float]:
    """`most` is how many prior rows count, the newest ones; all tell when the user came."""
    seen = sorted(
        (
            other
            for other in rows
            if other.user_id == row.user_id
            and other.event_time_us < row.event_time_us
            and other.ingested_at_us <= row.ingested_at_us
        ),
        key=lambda other: (other.event_time_us, other.ingested_at_us, other.transaction_id),
    )
    prior = seen[-most:]
    return {
        **_amount(row, _within(row, prior, 30 * DAY)),
        **_time(row),
        **_velocity(row, prior),
        **_behaviour(row, prior, seen),
        **_counterparty(row, prior),
        **_geo(row, prior),
        **_merchant_risk(row, rows, labels),
        **_codes(row),
    }


def _codes(row: Transaction) -> dict[str, float]:
    """What a category's text says is another test's; here it is that of this row."""
    return {
        "transaction_type_code": TYPES[row.transaction_type],
        "merchant_category_code": MERCHANT_CATEGORIES[row.merchant_category],
        "channel_code": CHANNELS[row.channel],
        "country_code": COUNTRIES[row.country],
    }


def _within(row: Transaction, prior: Sequence[Transaction], window: int) -> list[Transaction]:
    return [p for p in prior if p.event_time_us >= row.event_time_us - window]


def _ratio(above: float, below: float, otherwise: float) -> float:
    return above / below if below else otherwise


def _amount(row: Transaction, month: Sequence[Transaction]) -> dict[str, float]:
    amounts = [p.amount for p in month]
    mean = statistics.fmean(amounts) if amounts else 0.0
    zscore = 0.0
    if len(amounts) >= 2:
        zscore = (row.amount - mean) / max(statistics.stdev(amounts), 1.0)
    return {
        "amount": row.amount,
        "amount_log1p": math.log(1 + row.amount),
        "is_round_amount": float(row.amount % 10 == 0),
        "amount_to_avg_30d": _ratio(row.amount, mean, 1.0),
        "amount_zscore_30d": zscore,
        "amount_to_max_30d": _ratio(row.amount, max(amounts, default=0.0), 1.0),
    }


def _local(row: Transaction) -> int:
    return row.event_time_us + (row.utc_offset_min or 0) * MINUTE


def _time(row: Transaction) -> dict[str, float]:
    hour = _local(row) // HOUR % 24
    weekday = (_local(row) // DAY + 3) % 7
    return {
        "hour_sin": math.sin(2 * math.pi * hour / 24),
        "hour_cos": math.cos(2 * math.pi * hour / 24),
        "dow_sin": math.sin(2 * math.pi * weekday / 7),
        "dow_cos": math.cos(2 * math.pi * weekday / 7),
        "is_weekend": float(weekday in {5, 6}),
        "is_night": float(hour in range(6)),
    }


def _velocity(row: Transaction, prior: Sequence[Transaction]) -> dict[str, float]:
    windows = {
        "10m": 10 * MINUTE, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY
    }  # fmt: skip
    rows = {name: _within(row, prior, window) for name, window in windows.items()}
    found = {f"cnt_{name}": float(len(inside)) for name, inside in rows.items()}
    for name in ("1h", "24h", "7d", "30d"):
        found[f"sum_{name}"] = math.fsum(p.amount for p in rows[name])
    for name in ("7d", "30d"):
        found[f"avg_{name}"] = _ratio(found[f"sum_{name}"], found[f"cnt_{name}"], 0.0)
    return found


def _behaviour(
    row: Transaction, prior: Sequence[Transaction], seen: Sequence[Transaction]
) -> dict[str, float]:
    month = _within(row, prior, 30 * DAY)
    day = _within(row, prior, DAY)
    bucket = _local(row) // HOUR % 24 // 3
    same = [p for p in month if _local(p) // HOUR % 24 // 3 == bucket]
    t = row.event_time_us
    month_sum = math.fsum(p.amount for p in month)
    return {
        "secs_since_prev": (t - prior[-1].event_time_us) / SECOND if prior else 2_592_000.0,
        "days_since_first_seen": (t - seen[0].event_time_us) / DAY if seen else 0.0,
        "cnt_24h_vs_30d_daily": _ratio(len(day), len(month) / 30, 0.0),
        "sum_24h_vs_30d_daily": _ratio(math.fsum(p.amount for p in day), month_sum / 30, 0.0),
        "hour_bucket_share_30d": _ratio(len(same), len(month), 0.0),
        "amount_to_prev": _ratio(row.amount, prior[-1].amount, 1.0) if prior else 1.0,
    }


def _counterparty(row: Transaction, prior: Sequence[Transaction]) -> dict[str, float]:
    month = _within(row, prior, 30 * DAY)
    category = row.merchant_category
    alike = [p for p in month if category is not None and p.merchant_category == category]
    same = [p for p in month if p.merchant_id == row.merchant_id]
    return {
        "is_new_merchant_30d": float(not same),
        "same_merchant_cnt_30d": float(len(same)),
        "distinct_merchants_24h": float(len({p.merchant_id for p in _within(row, prior, DAY)})),
        "distinct_merchants_30d": float(len({p.merchant_id for p in month})),
        "is_new_category_30d": float(category is not None and not alike),
        "category_share_30d": _ratio(len(alike), len(month), 0.0),
    }


def _place(row: Transaction) -> tuple[object, ...] | None:
    if row.lat is not None and row.lon is not None:
        return math.floor(row.lat * 10), math.floor(row.lon * 10)
    if row.country is not None:
        return "country", row.country
    return None if row.device_id is None else ("device", row.device_id)


def _km(a: tuple[float | None, float | None], b: tuple[float | None, float | None]) -> float:
    if a[0] is None or a[1] is None or b[0] is None or b[1] is None:
        return 0.0
    lat_a, lon_a, lat_b, lon_b = map(math.radians, (a[0], a[1], b[0], b[1]))
    h = math.sin((lat_b - lat_a) / 2) ** 2
    h += math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(h))


def _geo(row: Transaction, prior: Sequence[Transaction]) -> dict[str, float]:
    here = _place(row)
    been = {_place(p) for p in _within(row, prior, 30 * DAY)}
    away = hours = 0.0
    if prior:
        away = _km((prior[-1].lat, prior[-1].lon), (row.lat, row.lon))
        hours = (row.event_time_us - prior[-1].event_time_us) / HOUR
    return {
        "km_from_home": _km((row.home_lat, row.home_lon), (row.lat, row.lon)),
        "km_from_prev": away,
        "kmh_from_prev": away / max(hours, 1 / 60),
        "is_new_location_30d": float(here is not None and here not in been),
    }


def _merchant_risk(
    row: Transaction, rows: Sequence[Transaction], labels: Mapping[str, Label]
) -> dict[str, float]:
    end = (row.event_time_us - SETTLE) // HOUR
    known = (row.ingested_at_us - SETTLE) // HOUR
    there = [p for p in rows if p.merchant_id == row.merchant_id]

    def come(begin: int, until: int) -> float:
        return float(
            sum(
                begin <= p.event_time_us // HOUR < until and p.ingested_at_us // HOUR < known
                for p in there
            )
        )

    def rate(begin: int, until: int) -> float:
        outcomes = [
            cast(int, label.label)
            for p in there
            if begin <= p.event_time_us // HOUR < until
            and (label := labels.get(p.transaction_id)) is not None
            and label.label_known_at_us // HOUR < min(end, known)
        ]
        return (sum(outcomes) + 0.005 * 2) / (len(outcomes) + 2)

    late = end - LAG
    return {
        "merchant_cnt_24h": come(end - 24, end),
        "merchant_cnt_30d_lag": come(late - 30 * 24, late),
        "merchant_fraud_rate_7d_lag": rate(late - 7 * 24, late),
        "merchant_fraud_rate_30d_lag": rate(late - 30 * 24, late),
    }
