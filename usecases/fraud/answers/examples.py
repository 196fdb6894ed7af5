"""Request bodies that work when sent as they stand; none names an instant that grows old."""

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "minimal": {"amount": 24.9},
    "four fields": {
        "amount": 120.0,
        "transaction_type": "purchase",
        "transaction_time": 14,
        "location_region": "EU",
    },
    "full": {
        "user_id": "customer-17",
        "amount": 129.95,
        "currency": "EUR",
        "merchant_id": "merchant-42",
        "merchant_category": "electronics",
        "transaction_type": "purchase",
        "channel": "online",
        "country": "DE",
        "lat": 52.52,
        "lon": 13.41,
        "home_lat": 52.4,
        "home_lon": 13.06,
        "device_id": "phone-3",
        "utc_offset_min": 60,
    },
    "suspicious": {
        "user_id": "customer-17",
        "amount": 6500.0,
        "currency": "EUR",
        "merchant_id": "merchant-unseen",
        "transaction_type": "transfer",
        "transaction_time": 3,
        "channel": "online",
        "country": "NG",
        "lat": 6.52,
        "lon": 3.38,
        "home_lat": 52.4,
        "home_lon": 13.06,
        "device_id": "new-device",
    },
}
