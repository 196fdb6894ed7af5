"""An API that serves a churn model which was really trained, on customers that were generated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

import usecases
from api.registry.registry import Meta, Registry, StoredVersion
from api.settings import Settings
from shared.bundle.archive import unpack
from shared.importing.files import PLACES, Piece
from shared.keys.tokens import API_ROLES, ensure_tokens
from shared.rows.convert import RowConverter, needed_sources
from tests.api.bundles import Signer
from tests.api.server import serve_settings
from usecases.churn.generate import customers
from usecases.declared.learning import learning_of

CHURN = Path(usecases.__file__).parent / "churn"
BODY: dict[str, Any] = {
    "tenure_months": 3,
    "monthly_charges": 95.5,
    "contract": "month",
    "payment": "card",
    "has_fibre": True,
    "support_calls": 4,
}
NAMED = {**BODY, "row_id": "r-1", "customer_id": "c-1"}


def trained() -> dict[str, Any]:
    """A candidate on generated customers: its files and what a manifest says of it."""
    learning = learning_of(CHURN)
    frame = customers(1_500, seed=3)
    now_us = 4_000_000_000_000_000
    columns = needed_sources(learning.declared, frame.columns, "generated")
    rows = pl.Series(PLACES[0], range(1, frame.height + 1), pl.Int64)
    text = frame.select(pl.col(name).cast(pl.String) for name in columns)
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
        "use_case": "churn",
        "model_name": "churn",
    }


def churn_settings(folder: Path, files: Mapping[str, bytes] | None = None) -> Settings:
    """Settings of an API whose registry serves such a model, or other files in its bundle."""
    settings = serve_settings(folder, use_case="churn")
    ensure_tokens(settings.keys_dir, API_ROLES)
    signer, said = Signer(settings.keys_dir), trained()
    own = said.pop("files")
    raw = signer.bundle("1.0.0", files or own, **said)
    registry = Registry(settings.prod_models_dir)
    registry.open()
    bundle = unpack(raw)
    meta = Meta(
        version="1.0.0",
        sha256=bundle.sha256,
        key_id="key",
        accepted_at_us=1,
        size_bytes=len(raw),
        manifest=bundle.manifest.model_dump(mode="json", exclude={"files"}),
    )
    registry.store(meta, StoredVersion(raw, signer.sign(raw)))
    registry.point_to("1.0.0")
    accepted = registry.ledger.with_accepted(meta.acceptance(), None)
    registry.save(accepted.with_activation("1.0.0", 1))
    return settings
