"""The request schema: fields, defaults of missing ones, and the row's event time.

Only `amount` is required. Unknown fields are refused: a misspelt `merchant` that is silently
dropped would be scored as a payment without a merchant.
"""

from collections.abc import Set
from datetime import datetime
from secrets import token_hex
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from shared.clock import MICROS_PER_HOUR, isoformat, to_micros
from shared.request_types import ONE_FORM, Instant, RowRequest, text_limits
from shared.transaction import (
    EARLIEST_US,
    GENERATED_PREFIX,
    MAX_AHEAD_US,
    MAX_AMOUNT,
    Transaction,
)

ISO_4217 = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP
    BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
    GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR
    KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
    MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS
    UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905 - a table reads better than 150 quoted strings
)


DEFAULT_CURRENCY = "EUR"
ANONYMOUS_PREFIX = GENERATED_PREFIX

TransactionType = Literal[
    "purchase",
    "payment",
    "transfer",
    "withdrawal",
    "cash_out",
    "cash_in",
    "cash_advance",
    "deposit",
    "debit",
    "refund",
]
DEFAULT_TRANSACTION_TYPE: TransactionType = "purchase"
Channel = Literal["online", "pos", "contactless", "atm", "mobile", "phone", "branch"]


Identifier = Annotated[str, text_limits(128), ONE_FORM]
Word = Annotated[str, text_limits(64), ONE_FORM]
Region = Annotated[str, text_limits(32), ONE_FORM]
Amount = Annotated[float, Field(strict=True, ge=0, le=MAX_AMOUNT)]
Latitude = Annotated[float, Field(strict=True, ge=-90, le=90)]
Longitude = Annotated[float, Field(strict=True, ge=-180, le=180)]
Hour = Annotated[int, Field(strict=True, ge=0, le=23)]
OffsetMinutes = Annotated[int, Field(strict=True, ge=-840, le=840)]
_Coordinates = tuple[float | None, float | None]


class TransactionRequest(RowRequest):
    """One transaction to score; only `amount` is required."""

    known_later: ClassVar[Set[str]] = frozenset({"label", "label_known_at"})

    amount: Amount = Field(description="Major units of `currency`, zero or more.")
    transaction_id: Identifier | None = Field(
        None, description="Your id, needed for feedback. Default: a new one, in the answer."
    )
    user_id: Identifier | None = Field(
        None, repr=False, description="Whose history counts. Default: a new one, without history."
    )
    merchant_id: Identifier | None = Field(
        None, description="The counterparty. Default: a new one, without history."
    )
    event_time: Instant | None = Field(
        None,
        description="RFC 3339 with a zone, at most one day ahead; without credentials at most one "
        "hour from now. Default: now, or the latest instant not after now in the hour "
        "`transaction_time`.",
    )
    transaction_time: Hour | None = Field(
        None,
        description="Hour of the day in UTC, 0 to 23; only used without `event_time`. Without "
        "credentials, a row of more than an hour ago is scored and enters no history.",
    )
    transaction_type: TransactionType = DEFAULT_TRANSACTION_TYPE
    currency: str = Field(DEFAULT_CURRENCY, description="ISO 4217 code, e.g. EUR.")
    merchant_category: Word | None = Field(None, description="Default: unknown.")
    channel: Channel | None = Field(None, description="Default: unknown.")
    country: Region | None = Field(
        None, description="Country of the event. Default: `location_region`, else unknown."
    )
    location_region: Region | None = Field(
        None, description="A region where no country is known; only used without `country`."
    )
    lat: Latitude | None = Field(
        None, repr=False, description="Place of the event, together with `lon`."
    )
    lon: Longitude | None = Field(None, repr=False)
    home_lat: Latitude | None = Field(
        None, repr=False, description="The user's home, together with `home_lon`."
    )
    home_lon: Longitude | None = Field(None, repr=False)
    device_id: Identifier | None = Field(None, repr=False, description="Default: unknown.")
    utc_offset_min: OffsetMinutes | None = Field(
        None, description="Local offset at the place of the event. Default: UTC."
    )


def to_transaction(request: BaseModel, now_us: int) -> Transaction:
    """The transaction a `TransactionRequest` stands for, every default filled in.

    Raises:
        ValueError: well-typed but without sense; the text begins with the field's name.
    """
    # its values by name: twice as fast as twenty attributes of a model, for every row
    sent = request.__dict__
    lat, lon, home_lat, home_lon = sent["lat"], sent["lon"], sent["home_lat"], sent["home_lon"]
    _refuse_nonsense(sent["currency"], (lat, lon), (home_lat, home_lon))
    row_id, user_id, merchant_id = sent["transaction_id"], sent["user_id"], sent["merchant_id"]
    # one random number for all three ids: generating it is the most expensive call here
    fresh = "" if row_id and user_id and merchant_id else token_hex(16)
    return Transaction(
        transaction_id=row_id or fresh,
        user_id=user_id or ANONYMOUS_PREFIX + fresh,
        merchant_id=merchant_id or ANONYMOUS_PREFIX + fresh,
        event_time_us=_event_time(sent["event_time"], sent["transaction_time"], now_us),
        ingested_at_us=now_us,
        amount=sent["amount"],
        currency=sent["currency"],
        transaction_type=sent["transaction_type"],
        merchant_category=sent["merchant_category"],
        channel=sent["channel"],
        country=sent["country"] or sent["location_region"],
        lat=lat,
        lon=lon,
        home_lat=home_lat,
        home_lon=home_lon,
        device_id=sent["device_id"],
        utc_offset_min=sent["utc_offset_min"],
    )


def _refuse_nonsense(currency: str, place: _Coordinates, home: _Coordinates) -> None:
    if currency not in ISO_4217:
        raise ValueError(f"currency: {currency[:16]!r} is not an ISO 4217 code, e.g. EUR")
    if (place[0] is None) != (place[1] is None):
        raise ValueError("lat: give lat and lon together, or neither")
    if (home[0] is None) != (home[1] is None):
        raise ValueError("home_lat: give home_lat and home_lon together, or neither")


def _event_time(event_time: datetime | None, hour: int | None, now_us: int) -> int:
    if event_time is None:
        return now_us if hour is None else _latest_in_hour(hour, now_us)
    instant_us = to_micros(event_time)
    if instant_us > now_us + MAX_AHEAD_US:
        raise ValueError(
            f"event_time: {event_time.isoformat()} is more than one day after now, "
            f"{isoformat(now_us)}"
        )
    if instant_us < EARLIEST_US:
        raise ValueError("event_time: before 2000-01-01T00:00:00Z")
    return instant_us


def _latest_in_hour(hour: int, now_us: int) -> int:
    hours_ago = (now_us // MICROS_PER_HOUR - hour) % 24
    if hours_ago == 0:
        return now_us
    return (now_us // MICROS_PER_HOUR - hours_ago + 1) * MICROS_PER_HOUR - 1
