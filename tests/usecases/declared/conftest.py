"""Declared use cases from one end to the other: a file, its declaration, its tables, its rows."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.rows.importer import import_rows
from shared.rows.sources import opened_files
from shared.rows.table_changes import make_tables
from shared.tables.engine import connect
from tests.support.declared_bench import NOW_US, Imported
from tests.support.declared_files import churn, iris, prices, tastes
from usecases.declared.learning import learning_of
from usecases.declared.proposal.new import new_use_case
from usecases.declared.proposal.request import NewUseCase
from usecases.declared.serving import serving_of

TABLES: dict[str, tuple[pl.DataFrame, str, dict[str, Any]]] = {
    "churn": (churn(4_000), "churned", {"time": "as_of", "entity": "customer_id"}),
    "prices": (prices(3_000), "price", {"time": "sold_on"}),
    "iris": (iris(900), "species", {"no_time": True}),
    "tastes": (tastes(2_400), "next_*", {"time": "asked_on", "entity": "guest"}),
}


def imported(folder: Path, frame: pl.DataFrame, label: str, **more: Any) -> Imported:
    """Propose, import, read."""
    file = folder / "rows.csv"
    frame.write_csv(file)
    made = new_use_case(NewUseCase("sample", label, (file,), **more), folder / "usecases", NOW_US)
    learning, serving = learning_of(made.folder), serving_of(made.folder)
    engine = connect(f"sqlite:///{folder}/understudy.db")
    make_tables(engine, learning.tables)
    with opened_files([file], learning.declared.csv) as sources:
        import_rows(engine, learning.tables, learning.declared, sources, NOW_US)
    return Imported(learning, serving, engine, learning.snapshot(engine, NOW_US))


@pytest.fixture(scope="session", params=sorted(TABLES))
def use_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    frame, label, more = TABLES[request.param]
    return imported(tmp_path_factory.mktemp(request.param), frame, label, **more)
