"""What may happen to a database file."""

import os
from pathlib import Path

from sqlalchemy import Engine, text

from shared.tables.engine import connect, lasting_transaction, migrate

ADD = text("INSERT INTO featuresconfig VALUES (:name, 1)")


def add(engine: Engine, name: str) -> None:
    with lasting_transaction(engine) as connection:
        connection.execute(ADD, {"name": name})


def removed(path: Path) -> None:
    path.unlink()


def removed_with_all_beside_it(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    engine = connect(f"sqlite:///{other}")
    migrate(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    other.replace(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)
