"""A synthetic world: its places and kinds of shops, and who lives, spends and pays there."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt


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


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FAVOURITES_NEARBY = 20
FAVOURITES_ONLINE = 8
DEGREES_PER_KM = 1 / 111.0


@dataclass(frozen=True, slots=True)
class Merchants:
    """One entry a merchant; `city` matters only for those that are not online."""

    category: Ints
    city: Ints
    lat: Floats
    lon: Floats
    online: Flags
    popularity: Floats


@dataclass(frozen=True, slots=True)
class Customers:
    """One entry a customer; favourites are merchants, the first visited most."""

    city: Ints
    home_lat: Floats
    home_lon: Floats
    per_day: Floats
    log_amount: Floats
    peak_hour: Floats
    online_share: Floats
    nearby: Ints
    distant: Ints


@dataclass(frozen=True, slots=True)
class World:
    """Everything that stays the same while time goes by; the seed decides it all."""

    seed: int
    customers: Customers
    merchants: Merchants

    def rng(self, purpose: int) -> np.random.Generator:
        """Its own generator for each purpose, so that they do not disturb each other."""
        return np.random.default_rng([self.seed, purpose])


def build_world(
    seed: int = 7, customers: int = 1_000, merchants: int = 3_000, per_day: float = 2.0
) -> World:
    """The world of a seed: always the same one."""
    rng = np.random.default_rng(seed)
    shops = _merchants(rng, merchants)
    return World(seed, _customers(rng, customers, per_day, shops), shops)


def pick(rng: np.random.Generator, among: Ints, weights: Floats, size: int) -> Ints:
    """Draw with weights, much faster than rng.choice for large sizes."""
    edges = np.cumsum(weights)
    at = np.searchsorted(edges, rng.random(size) * edges[-1], side="right")
    chosen: Ints = among[at]
    return chosen


def in_city(rng: np.random.Generator, merchants: Merchants, cities: Ints) -> Ints:
    """A merchant with a counter in each of the given cities, popular ones more often."""
    chosen = np.empty(len(cities), np.int64)
    for city in np.unique(cities):
        here = np.flatnonzero((merchants.city == city) & ~merchants.online)
        at = np.flatnonzero(cities == city)
        chosen[at] = pick(rng, here, merchants.popularity[here], len(at))
    return chosen


def _merchants(rng: np.random.Generator, count: int) -> Merchants:
    shares = np.array([kind.share for kind in CATEGORIES])
    category = pick(rng, np.arange(len(CATEGORIES)), shares, count)
    online = rng.random(count) < np.array([kind.online for kind in CATEGORIES])[category]
    city = pick(rng, np.arange(len(CITIES)), np.array([city.weight for city in CITIES]), count)
    # every city has a shop and a cash machine, however few merchants there are
    corner = min(2 * len(CITIES), count)
    city[:corner] = np.arange(corner) % len(CITIES)
    category[: corner // 2] = CASH
    online[:corner] = False
    lat, lon = _around(rng, city, spread_km=6.0)
    popularity = rng.pareto(1.5, count) + 0.2
    return Merchants(category, city, lat, lon, online, popularity)


def _customers(rng: np.random.Generator, count: int, per_day: float, shops: Merchants) -> Customers:
    weights = np.array([city.weight for city in CITIES])
    city = pick(rng, np.arange(len(CITIES)), weights, count)
    home_lat, home_lon = _around(rng, city, spread_km=9.0)
    nearby = in_city(rng, shops, np.repeat(city, FAVOURITES_NEARBY))
    everywhere = np.flatnonzero(shops.online)
    distant = pick(rng, everywhere, shops.popularity[everywhere], count * FAVOURITES_ONLINE)
    return Customers(
        city=city,
        home_lat=home_lat,
        home_lon=home_lon,
        per_day=per_day * rng.gamma(3.0, 1 / 3.0, count),
        log_amount=rng.normal(0.0, 0.45, count),
        peak_hour=rng.choice([10.0, 13.0, 17.0, 20.0, 1.0], count, p=[0.2, 0.3, 0.3, 0.15, 0.05]),
        online_share=rng.beta(2.0, 4.0, count),
        nearby=nearby.reshape(count, FAVOURITES_NEARBY),
        distant=distant.reshape(count, FAVOURITES_ONLINE),
    )


def _around(rng: np.random.Generator, city: Ints, spread_km: float) -> tuple[Floats, Floats]:
    centre_lat = np.array([place.lat for place in CITIES])[city]
    centre_lon = np.array([place.lon for place in CITIES])[city]
    north, east = rng.normal(0.0, spread_km * DEGREES_PER_KM, (2, len(city)))
    lat = centre_lat + north
    return lat.round(5), (centre_lon + east / np.cos(np.radians(lat))).round(5)
