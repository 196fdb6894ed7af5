"""A declared use case with rows."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
from sqlalchemy import Engine

from shared.clock import to_micros
from usecases.declared.learning import DeclaredLearning
from usecases.declared.serving import DeclaredServing

NOW_US = to_micros(datetime(2026, 6, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Imported:
    """A use case that was proposed from a file and has its rows in a database."""

    learning: DeclaredLearning
    serving: DeclaredServing
    engine: Engine
    snapshot: pl.DataFrame
