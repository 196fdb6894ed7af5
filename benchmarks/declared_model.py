"""A bundle of the built-in trainer for a declared use case, packed as it would be pushed."""

import platform
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from shared.bundle.archive import pack
from shared.bundle.manifest import Manifest, TrainingData, served_signature
from shared.rows.convert import RowConverter, needed_sources
from shared.rows.sources import opened_files
from usecases.declared.learning import DeclaredLearning


def converted_rows(learning: DeclaredLearning, path: Path, now_us: int) -> pl.DataFrame:
    """The rows of a file as they would be imported."""
    converter = RowConverter(learning.declared, now_us)
    with opened_files([path], learning.declared.csv) as (table,):
        columns = needed_sources(learning.declared, table.column_names(), table.name)
        return pl.concat([converter.convert(one).accepted for one in table.pieces(columns)])


def trained_bundle(learning: DeclaredLearning, frame: pl.DataFrame) -> bytes:
    """A candidate on labelled rows as version 1.0.0."""
    labels = frame["label"].to_numpy()
    candidate = learning.train(
        learning.features(frame), labels, learning.feature_set.names, 1, _silent
    )
    moment = datetime.now(UTC)
    inputs, outputs = served_signature(len(candidate.feature_names), len(candidate.components))
    manifest = Manifest(
        model_name=learning.name,
        version="1.0.0",
        created_at=moment,
        use_case=learning.name,
        frameworks=dict(candidate.frameworks),
        python_version=platform.python_version(),
        components=candidate.components,
        feature_names=candidate.feature_names,
        feature_set_version=candidate.feature_set_version,
        inputs=inputs,
        outputs=outputs,
        thresholds=dict(candidate.thresholds),
        hyperparameters={},
        metrics={},
        training_data=TrainingData(
            rows=len(labels),
            positives=int(labels.sum()),
            window_start=moment,
            window_end=moment,
            sha256="0" * 64,
        ),
        description="measured, never pushed",
    )
    return pack(manifest, candidate.files)


def _silent(_what: str, _share: float) -> None:
    """Progress is not shown."""
