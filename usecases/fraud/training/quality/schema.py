"""Schema: pandera reports columns that are absent or of another type."""

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from learning.dataset.scanned import ScannedRows, Snapshot
from shared.quality.finding import Finding, Severity

from ..snapshot import SCHEMA


def schema_faults(rows: Snapshot) -> list[Finding]:
    """Faults of the schema; while there are any, checks of values are meaningless."""
    snapshot = rows.schema.to_frame() if isinstance(rows, ScannedRows) else rows
    schema = pa.DataFrameSchema(
        {name: pa.Column(dtype, nullable=True) for name, dtype in SCHEMA.items()}
    )
    try:
        # An explicit depth: otherwise an environment variable could disable checks.
        with config_context(validation_depth=ValidationDepth.SCHEMA_ONLY):
            schema.validate(snapshot, lazy=True)
    except SchemaErrors as errors:
        return [_finding(snapshot, error) for error in errors.schema_errors]
    return []


def _finding(snapshot: pl.DataFrame, error: SchemaError) -> Finding:
    """A check that broke is not a fault of the data, so it is passed on."""
    match error.reason_code:
        case SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            column = str(error.failure_cases)
            return Finding("column_absent", column, "is absent", {"columns": 1}, Severity.RUIN)
        case SchemaErrorReason.WRONG_DATATYPE:
            column = str(error.schema.name)
            found = snapshot.schema[column]
            says = f"is {found}, expected {SCHEMA[column]}"
            return Finding("column_type", column, says, {"found": str(found)}, Severity.RUIN)
        case _:
            raise error
