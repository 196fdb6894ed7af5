"""The data-quality gate of a declared use case: every check over one snapshot, one verdict."""

from collections.abc import Mapping

import polars as pl

from shared.rows.declaration import Declaration
from shared.rows.frames import snapshot_schema
from shared.usecase.learning import Quarantine
from shared.verdicts import Finding, Number, Severity, Verdict, conclude
from usecases.declared.quality.newest import newest_faults, newest_of
from usecases.declared.quality.rows import (
    hash_collisions,
    repeated_rows,
    row_checks,
    row_faults,
    stale_rows,
    total_faults,
)


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


GATE = "data_quality"
FEW_ROWS = 10
MAX_QUARANTINED_SHARE = 0.002


def judge_quality(snapshot: pl.DataFrame, as_of_us: int, declared: Declaration) -> Verdict:
    """PASS when no check finds a fault; FAIL names each, worst first."""
    schema = declared.row_schema
    findings = schema_faults(snapshot, snapshot_schema(schema))
    numbers: dict[str, Number] = {"rows": snapshot.height}
    if not findings:
        findings = _find(snapshot, as_of_us, declared)
        numbers["labelled"] = snapshot["label"].count()
    clean = f"{snapshot.height} rows, {numbers.get('labelled')} labelled"
    return conclude(GATE, findings, declared.judge.accepted, numbers, clean)


def _find(snapshot: pl.DataFrame, as_of_us: int, declared: Declaration) -> list[Finding]:
    """Findings that explain many rows come first, before those of single rows."""
    schema = declared.row_schema
    found = total_faults(snapshot, schema)
    rows = newest_of(snapshot, schema)
    if rows is not None:
        found += newest_faults(rows, schema)
    found += hash_collisions(snapshot, schema)
    found += repeated_rows(snapshot, schema)
    found += stale_rows(snapshot, schema, as_of_us, None)
    return found + row_faults(snapshot, schema, as_of_us)


def quarantine_rows(snapshot: pl.DataFrame, as_of_us: int, declared: Declaration) -> Quarantine:
    """The snapshot without single wrong rows; unchanged where they are many."""
    nothing = Quarantine(snapshot, {}, 0)
    schema = declared.row_schema
    if schema_faults(snapshot, snapshot_schema(schema)):
        return nothing
    checks = list(row_checks(schema, as_of_us))
    violated = [check.violated.fill_null(value=False) for check in checks]
    is_wrong = snapshot.select(pl.any_horizontal(violated).alias("wrong"))["wrong"]
    rows = int(is_wrong.sum())
    if not 0 < rows <= max(FEW_ROWS, MAX_QUARANTINED_SHARE * snapshot.height):
        return nothing
    counts = snapshot.filter(is_wrong).select(
        each.sum().alias(str(at)) for at, each in enumerate(violated)
    )
    faults: dict[str, int] = {}
    for check, count in zip(checks, counts.row(0), strict=True):
        if count:
            faults[check.name] = faults.get(check.name, 0) + int(count)
    return Quarantine(snapshot.filter(~is_wrong), faults, rows)
