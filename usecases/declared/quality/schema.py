"""Columns of a snapshot that are absent or of another type."""

from collections.abc import Mapping

import polars as pl

from shared.quality.finding import Finding, Severity


def schema_faults(snapshot: pl.DataFrame, expected: Mapping[str, pl.DataType]) -> list[Finding]:
    """Faults of the schema; while there are any, checks of values are meaningless."""
    found = []
    for name, kind in expected.items():
        if name not in snapshot.columns:
            found.append(Finding("column_absent", name, "is absent", {"columns": 1}, Severity.RUIN))
        elif snapshot.schema[name] != kind:
            says = f"is {snapshot.schema[name]}, expected {kind}"
            numbers = {"found": str(snapshot.schema[name])}
            found.append(Finding("column_type", name, says, numbers, Severity.RUIN))
    return found
