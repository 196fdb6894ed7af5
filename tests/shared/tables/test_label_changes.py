"""Labels that were replaced are kept and counted, on both databases."""

import pytest
from sqlalchemy import Connection, Engine, text

from shared.tables.label_changes import Corrections, count_corrections
from shared.tables.writer import write_history, write_labels
from shared.transaction import Label

HOUR = 3_600_000_000


@pytest.fixture
def ids(engine: Engine) -> tuple[str, ...]:
    """Transactions that are stored, without labels."""
    keys = ("a", "b", "c")
    row = {
        "user_id": "u",
        "event_time": HOUR,
        "ingested_at": HOUR,
        "amount": 1.0,
        "currency": "EUR",
        "merchant_id": "m",
        "transaction_type": "purchase",
    }
    with engine.begin() as connection:
        write_history(connection, [{**row, "transaction_id": key} for key in keys])
    return keys


def tell(engine: Engine, hour: int, **labels: int) -> None:
    told = [Label(key, label, hour * HOUR, "analyst") for key, label in labels.items()]
    with engine.begin() as connection:
        write_labels(connection, told)


def changes(connection: Connection) -> list[tuple[str, int, int]]:
    query = "SELECT transaction_id, label, new_label FROM LabelChanges ORDER BY ChangeId"
    return [(key, old, new) for key, old, new in connection.execute(text(query))]


def test_corrections_are_counted_each_way_from_an_instant_to_another(
    engine: Engine, ids: tuple[str, ...]
) -> None:
    tell(engine, 10, **dict.fromkeys(ids, 0))
    tell(engine, 20, a=1, b=1)
    tell(engine, 30, a=0)
    assert count_corrections(engine, 40 * HOUR) == Corrections(to_positive=2, to_negative=1)
    assert count_corrections(engine, 20 * HOUR) == Corrections(to_positive=2, to_negative=0)
    later = count_corrections(engine, 40 * HOUR, since_us=20 * HOUR)
    assert later == Corrections(to_positive=0, to_negative=1)


def test_first_labels_repeats_and_late_news_of_the_past_are_no_corrections(
    engine: Engine, ids: tuple[str, ...]
) -> None:
    tell(engine, 10, **dict.fromkeys(ids, 1))
    tell(engine, 10, a=1)
    tell(engine, 5, b=0)
    tell(engine, 30, c=1)
    assert not count_corrections(engine, 40 * HOUR).any
    with engine.connect() as connection:
        # heard again later: it had been known since hour 10, and that is kept
        assert changes(connection) == [("c", 1, 1)]
