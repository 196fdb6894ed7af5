"""An API that serves a declared use case, by a model really trained on rows that were generated."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import select

import usecases
from api.settings import Settings
from shared.importing.files import PLACES, Piece
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.declaration import read_declaration
from shared.rows.tables import RowTables, served_rows, tables_of
from shared.tables.engine import connect
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings, wait_until
from tests.support.api_registries import put_into_service
from usecases.declared.generated import Generated
from usecases.declared.learning import learning_of

ROOT = Path(usecases.__file__).parent
CHURN = ROOT / "churn"
BODY: dict[str, Any] = {
    "tenure_months": 3,
    "monthly_charges": 95.5,
    "contract": "month",
    "payment": "card",
    "has_fibre": True,
    "support_calls": 4,
}
NAMED = {**BODY, "row_id": "r-1", "customer_id": "c-1"}


def trained(name: str) -> dict[str, Any]:
    """A candidate on generated rows: its files and what a manifest says of it."""
    learning = learning_of(ROOT / name)
    generated: Generated = importlib.import_module(f"usecases.{name}.generate").GENERATED
    frame = generated.make(1_500, 3, None)
    now_us = 4_000_000_000_000_000
    columns = needed_sources(learning.declared, frame.columns, "generated")
    rows = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    text = frame.select(pl.col(one).cast(pl.String) for one in columns)
    accepted = (
        RowConverter(learning.declared, now_us).convert(Piece(text, rows, rows, 1.0)).accepted
    )
    labelled = accepted.filter(pl.col("label").is_not_null())
    matrix = learning.features(labelled)
    labels: Any = labelled["label"].to_numpy()
    names = learning.feature_set.names
    made = learning.train(matrix, labels, names, 1, lambda _what, _share: None)
    return {
        "files": made.files,
        "components": made.components,
        "feature_names": made.feature_names,
        "feature_set_version": made.feature_set_version,
        "thresholds": dict(made.thresholds),
        "use_case": name,
        "model_name": name,
    }


def churn_settings(folder: Path, files: Mapping[str, bytes] | None = None) -> Settings:
    return declared_settings(folder, "churn", files)


def declared_settings(
    folder: Path, name: str, files: Mapping[str, bytes] | None = None
) -> Settings:
    """Settings of an API whose registry serves such a model, or other files in its bundle."""
    settings = serve_settings(folder, use_case=name)
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer, said = Signer(settings.keys_dir), trained(name)
    own = said.pop("files")
    raw = signer.bundle("1.0.0", files or own, **said)
    put_into_service(settings, signer, raw)
    return settings


def tables_of_use_case(name: str) -> RowTables:
    return tables_of(read_declaration(ROOT / name / "usecase.toml").row_schema)


def stored(settings: Settings, tables: RowTables, row_id: str) -> dict[str, Any] | None:
    engine = connect(settings.database_url.get_secret_value())
    served = served_rows(tables)
    try:
        with engine.connect() as connection:
            query = select(served).where(served.c.row_id == row_id)
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else dict(row)
    finally:
        engine.dispose()


def drained(server: Running) -> None:
    wait_until(lambda: server.service.journaling.journal.backlog == 0)
