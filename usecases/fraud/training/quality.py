"""The data-quality gate: pandera runs the checks; the verdict names column, count and example."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from shared.verdicts import Outcome, Verdict
from usecases.fraud.training.faults import (
    Check,
    Circumstances,
    RowCheck,
    TableCheck,
    row_checks,
    table_checks,
)
from usecases.fraud.training.policy import QualityPolicy
from usecases.fraud.training.snapshot import SCHEMA

GATE = "data_quality"
FAULTS_IN_REASON = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in words and as a number."""

    name: str
    text: str
    count: float


def judge_quality(snapshot: pl.DataFrame, as_of_us: int, policy: QualityPolicy) -> Verdict:
    """PASS when no check finds a fault; FAIL names each."""
    circumstances = Circumstances(as_of_us, policy)
    faults = _schema_faults(snapshot)
    # Checks of values say nothing sensible of columns that are absent or of another type.
    if not faults:
        checks: Sequence[Check] = (*table_checks(circumstances), *row_checks(circumstances))
        faults = _value_faults(snapshot, checks)
    numbers: dict[str, float | int | str | bool | None] = {
        "rows": snapshot.height,
        "faults": len(faults),
        **{fault.name: fault.count for fault in faults},
    }
    if faults:
        return Verdict(GATE, Outcome.FAIL, _reason(faults), numbers)
    numbers["labelled"] = int(snapshot["label"].is_not_null().sum())
    numbers["positives"] = int((snapshot["label"] == 1).sum())
    reason = f"{snapshot.height} rows, {numbers['positives']} positives, no fault found"
    return Verdict(GATE, Outcome.PASS, reason, numbers)


def _schema_faults(snapshot: pl.DataFrame) -> list[Fault]:
    schema = pa.DataFrameSchema(
        {name: pa.Column(dtype, nullable=True) for name, dtype in SCHEMA.items()}
    )
    failed = _failures(schema, snapshot)
    return [
        Fault(f"{column}_{check}", f"column {column}: {_schema_text(snapshot, column)}", 1)
        for check, column in failed
    ]


def _schema_text(snapshot: pl.DataFrame, column: str) -> str:
    if column not in snapshot.columns:
        return "is absent"
    return f"is {snapshot.schema[column]}, expected {SCHEMA[column]}"


def _value_faults(snapshot: pl.DataFrame, checks: Sequence[Check]) -> list[Fault]:
    """Each check is one truth value to pandera, or a bad column would be copied row by row."""
    schema = pa.DataFrameSchema(checks=[_to_pandera(check) for check in checks])
    by_name = {check.name: check for check in checks}
    return [_describe(snapshot, by_name[name]) for name, _ in _failures(schema, snapshot)]


def _to_pandera(check: Check) -> pa.Check:
    violated = check.violated.fill_null(value=False)
    holds = ~(violated.any() if isinstance(check, RowCheck) else violated)

    def run(data: pa.PolarsData) -> pl.LazyFrame:
        frame: pl.LazyFrame = data.lazyframe
        return frame.select(holds.alias(check.name))

    return pa.Check(run, name=check.name)


def _failures(schema: pa.DataFrameSchema, snapshot: pl.DataFrame) -> list[tuple[str, str]]:
    """(check, column) of everything pandera found, in its order."""
    try:
        # The depth is said outright: an environment variable could switch values off.
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(snapshot, lazy=True)
    except SchemaErrors as errors:
        return [_name(error) for error in errors.schema_errors]
    return []


def _name(error: SchemaError) -> tuple[str, str]:
    """What failed; a check that broke is not a fault of the data, so it is passed on."""
    match error.reason_code:
        case SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            return "absent", str(error.failure_cases)
        case SchemaErrorReason.WRONG_DATATYPE:
            return "of_other_type", str(error.schema.name)
        case SchemaErrorReason.DATAFRAME_CHECK:
            return str(error.check.name), ""
        case _:
            raise error


def _describe(snapshot: pl.DataFrame, check: Check) -> Fault:
    if isinstance(check, TableCheck):
        measured = float(snapshot.select(check.measured).item() or 0)
        return Fault(check.name, f"{check.column}: {measured:g} {check.says}", measured)
    wrong = snapshot.filter(check.violated)
    value, row = wrong[0, check.column], wrong[0, "transaction_id"]
    example = f"e.g. {value!r} in transaction {row!r}"
    text = f"{check.column} {check.says} in {wrong.height} rows, {example}"
    return Fault(check.name, text, wrong.height)


def _reason(faults: Sequence[Fault]) -> str:
    told = "; ".join(f"{fault.text} [{fault.name}]" for fault in faults[:FAULTS_IN_REASON])
    more = len(faults) - FAULTS_IN_REASON
    return f"{told}; and {more} more faults" if more > 0 else told
