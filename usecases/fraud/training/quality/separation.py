"""Training and held-out rows must not mix: not by row, not by id, not by time."""

import polars as pl

from learning.dataset.scanned import Snapshot, rows_at
from shared.quality.finding import Finding, Severity

from .feature_context import FeatureContext


def mixed_rows(snapshot: Snapshot, context: FeatureContext) -> list[Finding]:
    """Rows that are judged on and were learned from, or are older than what was learned."""
    columns = ("transaction_id", "event_time", "label_known_at")
    train, held_out = (
        rows_at(snapshot, rows, columns) for rows in (context.split.train, context.split.held_out)
    )
    if train.is_empty() or held_out.is_empty():
        return []
    start: int = held_out["event_time"].min()  # type: ignore[assignment]
    ids = held_out["transaction_id"].implode()
    counts = train.select(
        shared=pl.col("transaction_id").is_in(ids).sum(),
        late=(pl.col("event_time") >= start).sum(),
        known_late=(pl.col("label_known_at") > start).sum(),
    ).row(0, named=True)
    listed = (
        ("test_rows_in_training", "transaction_id", "are held out as well", "shared"),
        ("training_in_test_window", "event_time", "happened in the held-out window", "late"),
        ("label_from_test_window", "label_known_at", "were labelled after it began", "known_late"),
    )
    return [
        Finding(
            fault,
            column,
            f"of {counts[key]} of {train.height} training rows {what}",
            {"rows": counts[key]},
            Severity.RUIN,
        )
        for fault, column, what, key in listed
        if counts[key]
    ]
