"""A few wrong rows are set aside and told; many of them are a fault of the data and block."""

import polars as pl
import pytest

from benchmarks.quality_world import NOW_US
from shared.usecase.learning import Quarantine
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.judge import judge_quality
from usecases.fraud.training.quality.rows import FEW_ROWS, quarantine

QUALITY = read_policy().quality


def _spoilt(clean: pl.DataFrame, rows: int, **values: pl.Expr) -> pl.DataFrame:
    first = pl.int_range(pl.len()) < rows
    return clean.with_columns(
        pl.when(first).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def _quarantine(snapshot: pl.DataFrame) -> Quarantine:
    return quarantine(snapshot, NOW_US, QUALITY)


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("ancient_event", {"event_time": pl.lit(1_767_608_100_000)}),
        ("amount_too_large", {"amount": pl.lit(5e9)}),
        ("ingested_before_event", {"ingested_at": pl.col("event_time") - 10 * 86_400_000_000}),
        ("user_id_missing", {"user_id": pl.lit("")}),
    ],
)
def test_one_wrong_row_does_not_block_the_run(
    clean: pl.DataFrame, fault: str, value: dict[str, pl.Expr]
) -> None:
    spoilt = _spoilt(clean, 1, **value)
    assert not judge_quality(spoilt, NOW_US, QUALITY).passed
    found = _quarantine(spoilt)
    assert (found.rows, found.faults) == (1, {fault: 1})
    assert found.kept.height == clean.height - 1
    assert judge_quality(found.kept, NOW_US, QUALITY).passed


def test_many_wrong_rows_stay_and_block_by_name(clean: pl.DataFrame) -> None:
    many = int(max(FEW_ROWS, QUALITY.max_quarantined_share * clean.height)) + 1
    spoilt = _spoilt(clean, many, amount=pl.lit(5e9))
    found = _quarantine(spoilt)
    assert (found.rows, found.kept.height) == (0, clean.height)
    verdict = judge_quality(found.kept, NOW_US, QUALITY)
    assert "amount_too_large" in verdict.numbers


def test_a_row_with_two_faults_counts_once_as_a_row(clean: pl.DataFrame) -> None:
    found = _quarantine(_spoilt(clean, 1, amount=pl.lit(-1.0), user_id=pl.lit("")))
    assert (found.rows, set(found.faults)) == (1, {"amount_negative", "user_id_missing"})


def test_clean_rows_and_a_wrong_schema_are_left_alone(clean: pl.DataFrame) -> None:
    assert _quarantine(clean).rows == 0
    assert _quarantine(clean.drop("amount")).rows == 0
