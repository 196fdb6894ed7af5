"""`python -m usecases.deliveries.generate`: parcels.csv, as a courier service might export it.

Every row is a parcel on the day it was picked up; how long it took is known a day later.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from usecases.declared.generated import Generated, GeneratedDays, entities

VEHICLES = ("bicycle", "car", "van")
MINUTES_PER_KM = np.array([4.0, 2.6, 3.0])
DISTRICTS = ("airport", "centre", "harbour", "hills", "north", "old town", "south", "west")
DISTRICT_MINUTES = np.array([6.0, 9.0, 4.0, 7.0, 0.0, 11.0, 1.0, 2.0])
DELAY_DAYS = 1


def parcels(rows: int, seed: int = 1, until: datetime | None = None) -> pl.DataFrame:
    """Rows up to a day, with the minutes to the door where they had time to become known."""
    random = np.random.default_rng(seed)
    past = GeneratedDays(random, rows, until)
    distance = np.round(random.gamma(3.0, 2.2, rows), 2)
    weight = np.round(random.gamma(1.6, 2.5, rows), 2)
    vehicle = random.choice(3, rows, p=[0.35, 0.4, 0.25])
    district = random.integers(0, len(DISTRICTS), rows)
    is_raining = random.random(rows) < 0.25
    stops = random.poisson(2.5, rows)
    mean = 6 + MINUTES_PER_KM[vehicle] * distance * (1 + 0.35 * is_raining * (vehicle == 0))
    mean = mean + DISTRICT_MINUTES[district] + 4.5 * stops + 0.4 * weight
    minutes = np.round(mean * np.exp(random.normal(0, 0.12, rows)), 1)
    return pl.DataFrame(
        {
            "courier_id": entities(random, "k", rows),
            "picked_up_on": past.dates(),
            "distance_km": distance,
            "parcel_kg": weight,
            "vehicle": [VEHICLES[one] for one in vehicle],
            "district": [DISTRICTS[one] for one in district],
            "is_raining": np.where(is_raining, "yes", "no"),
            "stops_before": stops,
            "courier_since": past.dates_before(random.integers(10, 2_000, rows), [True] * rows),
            "minutes_to_door": past.known(minutes.tolist(), DELAY_DAYS),
        }
    )


GENERATED = Generated(Path(__file__).with_name("parcels.csv"), parcels)

if __name__ == "__main__":
    GENERATED.write()
