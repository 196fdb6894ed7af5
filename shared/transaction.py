"""One transaction as all packages use it, with defaults filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from unicodedata import normalize

from shared.clock import MICROS_PER_DAY, MICROS_PER_SECOND

# Limits of a row, applied alike by /predict, imports and the data-quality gate:
# a row that is accepted and then refused by the gate would block every later run.
EARLIEST_US = 946_684_800 * MICROS_PER_SECOND
"""The year 2000: older instants are a wrong unit, zone or origin."""
MAX_AHEAD_US = MICROS_PER_DAY
"""The farthest an event may lie ahead of now, and of its ingestion."""
MAX_AMOUNT = 1e9
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]+$"
"""Texts contain no control characters: databases refuse NUL. Joiners and emoji are text.

Written out, for /openapi.json is read by engines that know no classes of Unicode.
"""


BLANKS = " \t\r\n\x0b\x0c\u00a0\u1680\u202f\u205f\u3000\ufeff" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)
"""Blanks of every width, and the byte order mark that a careless export leaves: no part of a text
at either end of it, in a file and in JSON alike."""

_ASCII_BLANKS = "".join(blank for blank in BLANKS if blank.isascii())


def one_form(text: str) -> str:
    """The text as ids are compared and stored: in Unicode's NFC, without blanks around it.

    Raises:
        ValueError: nothing but blanks.
    """
    # stripping all thirty Unicode blanks takes ten times as long as the six of ASCII
    whole = text.strip(_ASCII_BLANKS) if text.isascii() else normalize("NFC", text.strip(BLANKS))
    if not whole:
        raise ValueError("there are only blanks: write a text, or leave the field out")
    return whole


# not frozen, because creating a frozen one takes three times as long, in every request
@dataclass(slots=True, kw_only=True)
class Transaction:
    """A row to be scored or learned from; its repr leaves out who it is about.

    Never changed after its creation: `dataclasses.replace` makes another one.

    Attributes:
        event_time_us: when it happened, microseconds since the epoch, UTC.
        ingested_at_us: when this system first saw it; imported history has event_time.
        amount: major units of `currency`, never negative.
        utc_offset_min: the local offset at the place of the event, if it was given.
    """

    transaction_id: str
    user_id: str = field(repr=False)
    event_time_us: int
    ingested_at_us: int
    amount: float
    currency: str
    merchant_id: str
    transaction_type: str
    merchant_category: str | None = None
    channel: str | None = None
    country: str | None = None
    lat: float | None = field(default=None, repr=False)
    lon: float | None = field(default=None, repr=False)
    home_lat: float | None = field(default=None, repr=False)
    home_lon: float | None = field(default=None, repr=False)
    device_id: str | None = field(default=None, repr=False)
    utc_offset_min: int | None = None


ATTRIBUTE_OF: Mapping[str, str] = {
    each.name.removesuffix("_us"): each.name for each in fields(Transaction)
}
"""Column of the transaction tables -> attribute of Transaction, in the order of both."""

GENERATED_PREFIX = "anonymous-"
"""Begins the ids of users and merchants that were not named; each is new, so has no history."""

OUR_RULES = "rules"
"""Labels of this source are our own decisions; training on them would be a feedback loop."""


LabelValue = float | Sequence[float | None]
"""1 or 0; of a declared use case the index of a class, a value, or a rating for each item."""


@dataclass(frozen=True, slots=True)
class Label:
    """Ground truth for one row and the instant since which it is known.

    Attributes:
        transaction_id: the id of the row, under any name that its use case gives it.
        label_sent_by: the name of the caller that sent it; None for imported ones.
    """

    transaction_id: str
    label: LabelValue
    label_known_at_us: int
    label_source: str
    label_sent_by: str | None = None
