"""One transaction as every room of the house sees it, defaults already filled in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A row to be scored or learned from.

    Attributes:
        event_time_us: when it happened, microseconds since the epoch, UTC.
        ingested_at_us: when this system first saw it; imported history has event_time.
        amount: major units of `currency`, never negative.
        utc_offset_min: the local offset at the place of the event, if it was given.
    """

    transaction_id: str
    user_id: str
    event_time_us: int
    ingested_at_us: int
    amount: float
    currency: str
    merchant_id: str
    transaction_type: str
    merchant_category: str | None = None
    channel: str | None = None
    country: str | None = None
    lat: float | None = None
    lon: float | None = None
    home_lat: float | None = None
    home_lon: float | None = None
    device_id: str | None = None
    utc_offset_min: int | None = None


OUR_RULES = "rules"
"""Labels of this source are our own opinion; learning them would teach the model its echo."""


@dataclass(frozen=True, slots=True)
class Label:
    """Ground truth for one transaction and the instant since which it is known."""

    transaction_id: str
    label: int
    label_known_at_us: int
    label_source: str
