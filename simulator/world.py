"""The people and the shops: who lives where, spends how much, and goes to which merchants."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.atlas import CASH, CATEGORIES, CITIES

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
