"""The places and shops of the synthetic world, as constants."""

from typing import Final, NamedTuple


class City(NamedTuple):
    """A place with people in it; `weight` is its share of them."""

    name: str
    country: str
    lat: float
    lon: float
    utc_offset_min: int
    weight: float


class Category(NamedTuple):
    """A kind of merchant; `log_amount` is the logarithm of the usual amount.

    `share` is the kind's share of merchants, `online` how many of them have no counter.
    """

    name: str
    log_amount: float
    spread: float
    share: float
    online: float


CITIES: Final = (
    City("Paris", "FR", 48.857, 2.352, 60, 0.16),
    City("Lyon", "FR", 45.764, 4.836, 60, 0.07),
    City("Marseille", "FR", 43.297, 5.381, 60, 0.07),
    City("Lille", "FR", 50.629, 3.057, 60, 0.05),
    City("Berlin", "DE", 52.520, 13.405, 60, 0.11),
    City("Hamburg", "DE", 53.551, 9.994, 60, 0.07),
    City("Munich", "DE", 48.135, 11.582, 60, 0.07),
    City("Cologne", "DE", 50.938, 6.960, 60, 0.05),
    City("Brussels", "BE", 50.850, 4.352, 60, 0.06),
    City("Amsterdam", "NL", 52.368, 4.904, 60, 0.06),
    City("Madrid", "ES", 40.417, -3.704, 60, 0.05),
    City("Barcelona", "ES", 41.385, 2.173, 60, 0.05),
    City("Milan", "IT", 45.464, 9.190, 60, 0.04),
    City("Rome", "IT", 41.903, 12.496, 60, 0.03),
    City("Vienna", "AT", 48.208, 16.374, 60, 0.02),
    City("Lisbon", "PT", 38.722, -9.139, 0, 0.01),
    City("London", "GB", 51.507, -0.128, 0, 0.01),
    City("Warsaw", "PL", 52.230, 21.012, 60, 0.01),
    City("Istanbul", "TR", 41.008, 28.978, 180, 0.003),
    City("New York", "US", 40.713, -74.006, -300, 0.003),
    City("Lagos", "NG", 6.524, 3.379, 60, 0.001),
    City("Bangkok", "TH", 13.756, 100.502, 420, 0.001),
    City("Sao Paulo", "BR", -23.551, -46.633, -180, 0.001),
    City("Kyiv", "UA", 50.450, 30.523, 120, 0.001),
)

CATEGORIES: Final = (
    Category("grocery", 3.3, 0.6, 0.20, 0.05),
    Category("restaurant", 3.2, 0.5, 0.18, 0.0),
    Category("fuel", 3.9, 0.3, 0.07, 0.0),
    Category("transport", 2.2, 0.7, 0.08, 0.2),
    Category("clothing", 4.0, 0.6, 0.12, 0.4),
    Category("electronics", 4.7, 0.8, 0.06, 0.5),
    Category("health", 3.2, 0.6, 0.07, 0.1),
    Category("entertainment", 2.9, 0.6, 0.07, 0.6),
    Category("digital_goods", 2.3, 0.8, 0.05, 1.0),
    Category("travel", 5.2, 0.7, 0.04, 0.7),
    Category("cash", 4.1, 0.6, 0.04, 0.0),
    Category("money_transfer", 4.6, 0.9, 0.02, 1.0),
)

CHANNELS: Final = ("online", "mobile", "pos", "contactless", "atm")
ONLINE, MOBILE, POS, CONTACTLESS, ATM = range(len(CHANNELS))

TRANSACTION_TYPES: Final = ("purchase", "withdrawal", "transfer")
PURCHASE, WITHDRAWAL, TRANSFER = range(len(TRANSACTION_TYPES))

CASH: Final = next(at for at, kind in enumerate(CATEGORIES) if kind.name == "cash")
MONEY_TRANSFER: Final = next(
    at for at, kind in enumerate(CATEGORIES) if kind.name == "money_transfer"
)
ELECTRONICS: Final = next(at for at, kind in enumerate(CATEGORIES) if kind.name == "electronics")
DIGITAL_GOODS: Final = next(
    at for at, kind in enumerate(CATEGORIES) if kind.name == "digital_goods"
)
