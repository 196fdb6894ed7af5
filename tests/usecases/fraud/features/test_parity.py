"""What was served equals what training computes: every feature of every row, bit for bit."""

import heapq
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, select

from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from shared.tables.writer import write_decisions, write_history, write_labels
from shared.transaction import Label, Transaction
from shared.usecase.serving import FloatMatrix, FloatVector
from tests.support.reserved import reserved
from tests.usecases.fraud.features.frames import record
from tests.usecases.fraud.features.stream import labels_of, rushes
from usecases.fraud.features.batch import compute
from usecases.fraud.features.catalogue import FEATURE_SET, MAX_PRIOR_ROWS
from usecases.fraud.features.online import FraudFeatureSource
from usecases.fraud.training.snapshot import SCHEMA

SEED = 20_261
IMPORTED_RUSHES = 60


class Replay:
    """The scoring service in small: score, remember, store in a while, learn labels."""

    def __init__(self, engine: Engine, max_prior_rows: int = MAX_PRIOR_ROWS) -> None:
        self.engine = engine
        self.source = FraudFeatureSource(engine, max_prior_rows=max_prior_rows)
        self.served: dict[str, FloatVector] = {}
        self.scored_while_pending = 0
        self._pending: list[Transaction] = []
        self._labels: list[tuple[int, str, Label]] = []
        self._dice = random.Random(SEED)

    def import_history(self, rows: Sequence[Transaction]) -> None:
        with self.engine.begin() as connection:
            write_history(connection, [record(row) for row in rows])
        for row in rows:
            self._expect_labels(row)

    def rush(self, rows: Sequence[Transaction]) -> None:
        self._learn(rows[0].ingested_at_us)
        while rows:
            together = self._dice.choice((1, 1, 3, 7))
            self._score(rows[:together])
            rows = rows[together:]
            if self._dice.random() < 0.05 * together:
                self._store()
        self._store()

    def _score(self, rows: Sequence[Transaction]) -> None:
        """One row as it comes, or several that came in together."""
        if len(rows) == 1:
            vectors = [self.source.vector(rows[0])]
            self.source.remember(rows[0])
        else:
            vectors = list(reserved(self.source, rows))
        for row, vector in zip(rows, vectors, strict=True):
            self.scored_while_pending += bool(self._pending)
            if self.served.setdefault(row.transaction_id, vector) is vector:
                self._expect_labels(row)
            self._pending.append(row)

    def _expect_labels(self, row: Transaction) -> None:
        for label in labels_of(SEED, row):
            heapq.heappush(self._labels, (label.label_known_at_us, label.transaction_id, label))

    def _store(self) -> None:
        lines = [{**record(row), "model_version": "1.0.0"} for row in self._pending]
        with self.engine.begin() as connection:
            write_decisions(connection, lines)
            if self._dice.random() < 0.02:  # some files hold what was scored, too
                write_history(connection, lines)
        self.source.forget([row.transaction_id for row in self._pending])
        self._pending = []

    def _learn(self, now_us: int) -> None:
        known = []
        while self._labels and self._labels[0][0] <= now_us:
            known.append(heapq.heappop(self._labels)[2])
        if known:
            with self.engine.begin() as connection:
                write_labels(connection, known)
            self.source.learned(known)


def snapshot(engine: Engine) -> pl.DataFrame:
    """The final rows of both logs, each transaction once."""
    found: dict[str, tuple[object, ...]] = {}
    with engine.connect() as connection:
        for table in (transaction_history_logs, api_transaction_logs):
            for row in connection.execute(select(*(table.c[name] for name in SCHEMA))):
                found[row.transaction_id] = tuple(row)
    return pl.DataFrame(list(found.values()), schema=SCHEMA, orient="row")


@pytest.mark.slow
def test_every_feature_that_was_served_equals_the_batch_value_bit_for_bit(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/replay.db")
    migrate(engine)
    replay = Replay(engine)
    groups = list(rushes(SEED, count=900, rows_each=24, days=75))
    replay.import_history([row for rows in groups[:IMPORTED_RUSHES] for row in rows])
    for rows in groups[IMPORTED_RUSHES:]:
        replay.rush(rows)

    served = _served_as_in_batch(replay, MAX_PRIOR_ROWS)
    assert len(served) >= 20_000
    assert replay.scored_while_pending > len(served) / 2
    assert replay.source.live.guard.fallbacks == 0
    varies = np.nanmax(served, axis=0) > np.nanmin(served, axis=0)
    assert varies.all(), "a feature that never varies proves nothing"


@pytest.mark.parametrize("most", [1, 6])
def test_a_user_with_more_rows_than_count_gets_the_batch_value_bit_for_bit(
    tmp_path: Path, most: int
) -> None:
    engine = connect(f"sqlite:///{tmp_path}/replay.db")
    migrate(engine)
    replay = Replay(engine, most)
    groups = list(rushes(SEED + most, count=160, rows_each=24, days=20))
    replay.import_history([row for rows in groups[:20] for row in rows])
    for rows in groups[20:]:
        replay.rush(rows)

    served = _served_as_in_batch(replay, most)
    counts = served[:, FEATURE_SET.names.index("cnt_30d")]
    assert counts.max() == most
    assert (counts == most).mean() > 0.3, "too few users have more rows than count"


def _served_as_in_batch(replay: Replay, most: int) -> FloatMatrix:
    """What was served, which has the bits of what training computes."""
    final = snapshot(replay.engine)
    matrix = compute(final, max_prior_rows=most)
    batch = dict(zip(final["transaction_id"], matrix, strict=True))
    served = np.array(list(replay.served.values()))
    expected = np.array([batch[key] for key in replay.served])
    different = served.view(np.uint32) != expected.view(np.uint32)
    columns = [name for name, any_ in zip(FEATURE_SET.names, different.any(0), strict=True) if any_]
    assert columns == [], f"{different.any(1).sum()} rows differ"
    return served
