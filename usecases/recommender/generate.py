"""`python -m usecases.recommender.generate`: ratings.csv, as a film service might export it.

Every row is a viewer on a day: what he has rated so far, and what he rated in the two weeks after.
A viewer likes two kinds of films, and a kind means something else beside another one, so that no
weighted sum of ratings tells what comes next.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from usecases.declared.generated import Generated, GeneratedDays

CATEGORIES = (
    "action", "adventure", "animation", "biography", "comedy", "cookery", "crime", "documentary",
    "drama", "family", "fantasy", "film_noir", "history", "horror", "music", "musical", "mystery",
    "nature", "news", "reality", "romance", "science_fiction", "short_film", "sport", "superhero",
    "thriller", "travel", "war", "western",
)  # fmt: skip
KINDS_OF_FILMS = 6
DELAY_DAYS = 14
UNKNOWN_SO_FAR, UNKNOWN_NEXT = 0.6, 0.4

Floats = npt.NDArray[np.float64]


def ratings(rows: int, seed: int = 1, until: datetime | None = None) -> pl.DataFrame:
    """Rows up to a day, with what was rated next where there was time for it."""
    random = np.random.default_rng(seed)
    past = GeneratedDays(random, rows, until)
    viewers = random.integers(0, rows // 3 + 1, rows)
    taste = _tastes(random, rows // 3 + 1)[viewers]
    so_far, following = (
        _rated(random, taste, unknown) for unknown in (UNKNOWN_SO_FAR, UNKNOWN_NEXT)
    )
    return pl.DataFrame(
        {
            "viewer_id": [f"v{number:06}" for number in viewers],
            "rated_on": past.dates(),
            **{f"rating_{name}": so_far[:, at] for at, name in enumerate(CATEGORIES)},
            **{
                f"next_{name}": pl.Series(past.known(following[:, at].tolist(), DELAY_DAYS))
                for at, name in enumerate(CATEGORIES)
            },
        }
    ).with_columns(pl.selectors.float().fill_nan(None))


def _tastes(random: np.random.Generator, viewers: int) -> Floats:
    """The taste of each viewer for each category."""
    liked = np.random.default_rng(29).normal(0, 1, (KINDS_OF_FILMS, len(CATEGORIES)))
    first, second = random.integers(KINDS_OF_FILMS, size=(2, viewers))
    together = np.where(first == second, 1.0, np.sign(first - second))[:, None]
    taste = liked[first] + 0.8 * together * liked[second] * np.tanh(liked[first])
    return np.asarray(taste + 0.4 * random.normal(size=taste.shape))


def _rated(random: np.random.Generator, taste: Floats, unknown: float) -> Floats:
    """Half stars from 1 to 5; NaN where a category was not rated."""
    felt = 3.0 + 1.2 * taste + 0.6 * random.normal(size=taste.shape)
    stars = np.round(np.clip(felt, 1.0, 5.0) * 2) / 2
    return np.where(random.random(taste.shape) < unknown, np.nan, stars)


GENERATED = Generated(Path(__file__).with_name("ratings.csv"), ratings)

if __name__ == "__main__":
    GENERATED.write()
