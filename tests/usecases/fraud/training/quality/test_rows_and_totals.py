"""Each fault is injected into clean rows; the verdict has to name it, its column and a row."""

import numpy as np
import polars as pl
import pytest

from shared.clock import MICROS_PER_DAY
from shared.verdicts import Outcome, Verdict
from tests.usecases.fraud.training.examples import AS_OF_US, labelled_history
from usecases.fraud.training.policy import FraudPolicy, read_policy
from usecases.fraud.training.quality.context import Context
from usecases.fraud.training.quality.judge import judge_quality
from usecases.fraud.training.quality.rows import row_checks

QUALITY = read_policy().quality
VICTIM = "t1234"


def judge(snapshot: pl.DataFrame, as_of_us: int = AS_OF_US) -> Verdict:
    return judge_quality(snapshot, as_of_us, QUALITY)


def spoil(column: str, value: object) -> pl.DataFrame:
    """Clean rows with one value of one row replaced."""
    snapshot = labelled_history()
    replaced = pl.lit(value, dtype=snapshot.schema[column])
    hit = pl.col("transaction_id") == VICTIM
    return snapshot.with_columns(pl.when(hit).then(replaced).otherwise(column).alias(column))


def test_clean_rows_pass_with_their_numbers() -> None:
    verdict = judge(labelled_history())
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["rows"] == 4_000
    assert verdict.numbers["faults"] == 0
    assert isinstance(verdict.numbers["positives"], int)


@pytest.mark.parametrize(
    ("fault", "column", "value"),
    [
        ("user_id_missing", "user_id", None),
        ("user_id_missing", "user_id", ""),
        ("merchant_id_missing", "merchant_id", None),
        ("currency_missing", "currency", ""),
        ("transaction_type_missing", "transaction_type", None),
        ("event_time_missing", "event_time", None),
        ("ingested_at_missing", "ingested_at", None),
        ("amount_missing", "amount", None),
        ("amount_not_finite", "amount", float("nan")),
        ("amount_not_finite", "amount", float("inf")),
        ("amount_negative", "amount", -0.01),
        ("amount_too_large", "amount", 1e12),
        ("future_event", "event_time", AS_OF_US + 2 * MICROS_PER_DAY),
        ("ancient_event", "event_time", 1_700_000_000),
        ("ingested_before_event", "ingested_at", 946_684_800_000_000),
        ("label_not_binary", "label", 2),
        ("label_without_instant", "label_known_at", None),
        ("label_before_event", "label_known_at", 946_684_800_000_000),
        ("label_from_future", "label_known_at", AS_OF_US + 1),
        ("lat_not_finite", "lat", float("nan")),
        ("home_lon_not_finite", "home_lon", float("-inf")),
        ("lat_out_of_range", "lat", 91.0),
        ("lon_out_of_range", "lon", -181.0),
        ("home_lat_out_of_range", "home_lat", -90.5),
        ("home_lon_out_of_range", "home_lon", 180.5),
        ("utc_offset_min_out_of_range", "utc_offset_min", 1_441),
    ],
)
def test_a_bad_value_is_named_with_column_count_and_example(
    fault: str, column: str, value: object
) -> None:
    verdict = judge(spoil(column, value))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers[fault] == 1
    assert column in verdict.reason
    assert f"in 1 rows, e.g. {value!r} in transaction '{VICTIM}'" in verdict.reason


def test_a_repeated_transaction_is_named() -> None:
    snapshot = labelled_history()
    verdict = judge(pl.concat([snapshot, snapshot.filter(pl.col("transaction_id") == VICTIM)]))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["repeated_transaction"] == 2
    assert VICTIM in verdict.reason


def known_label(value: int) -> pl.Expr:
    return pl.when(pl.col("label").is_not_null()).then(pl.lit(value, pl.Int8)).alias("label")


@pytest.mark.parametrize(
    ("fault", "snapshot"),
    [
        ("too_few_rows", labelled_history().tail(900)),
        ("no_positive_label", labelled_history().with_columns(known_label(0))),
        ("no_negative_label", labelled_history().with_columns(known_label(1))),
        ("labels_flipped", labelled_history().with_columns(label=1 - pl.col("label"))),
        ("too_few_positives", labelled_history(every=1_000)),
        ("too_few_labels", labelled_history(days=7.5)),
        ("amount_constant", labelled_history().with_columns(amount=pl.lit(10.0))),
    ],
)
def test_a_fault_of_the_whole_is_named(fault: str, snapshot: pl.DataFrame) -> None:
    verdict = judge(snapshot)
    assert verdict.outcome is Outcome.FAIL
    assert fault in verdict.numbers
    assert fault in verdict.reason


def test_stale_data_is_named_with_its_age() -> None:
    verdict = judge(labelled_history(), AS_OF_US + 30 * MICROS_PER_DAY)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["stale_data"] == pytest.approx(30.0)


def test_no_rows_at_all_fail_without_breaking() -> None:
    verdict = judge(labelled_history().clear())
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["too_few_rows"] == 0


def test_an_absent_column_is_named() -> None:
    verdict = judge(labelled_history().drop("merchant_id"))
    assert verdict.outcome is Outcome.FAIL
    assert "merchant_id is absent [column_absent]" in verdict.reason


def test_a_column_of_another_type_is_named_with_both_types() -> None:
    verdict = judge(labelled_history().with_columns(pl.col("amount").cast(pl.String)))
    assert verdict.outcome is Outcome.FAIL
    assert "amount is String, expected Float64" in verdict.reason


def test_all_faults_are_named_and_the_worst_come_first() -> None:
    broken = (
        labelled_history()
        .with_columns(
            amount=-pl.col("amount"),
            user_id=pl.lit(""),
            currency=pl.lit(""),
            merchant_id=pl.lit(""),
            lat=pl.lit(100.0),
        )
        .head(900)
    )
    verdict = judge(broken)
    assert verdict.reason.startswith("transaction_id has 900 rows, at least 1000 are needed")
    named = ("amount_negative", "user_id_missing", "currency_missing", "lat_out_of_range")
    assert all(fault in verdict.reason and fault in verdict.numbers for fault in named)


def test_an_accepted_fault_is_told_but_does_not_block() -> None:
    broken = spoil("lat", 91.0)
    accepting = QUALITY.model_copy(update={"accepted": ("lat_out_of_range:lat",)})
    verdict = judge_quality(broken, AS_OF_US, accepting)
    assert verdict.passed
    assert "noticed: lat is beyond" in verdict.reason
    elsewhere = QUALITY.model_copy(update={"accepted": ("lat_out_of_range:home_lat",)})
    assert not judge_quality(broken, AS_OF_US, elsewhere).passed


def test_unknown_optional_values_are_no_fault(policy: FraudPolicy) -> None:
    optional = ("lat", "lon", "home_lat", "home_lon", "utc_offset_min")
    snapshot = labelled_history()
    assert all(snapshot[name].null_count() == snapshot.height for name in optional)
    assert judge_quality(snapshot, AS_OF_US, policy.quality).passed


def test_every_check_has_its_own_name() -> None:
    names = [check.name for check in row_checks(Context(AS_OF_US, QUALITY, None))]
    assert len(names) == len(set(names))


def test_clean_histories_of_many_shapes_are_not_blocked() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        days, every = float(rng.uniform(30, 300)), int(rng.integers(5, 100))
        snapshot = labelled_history(days=days, every=every)
        verdict = judge(snapshot)
        assert verdict.passed, verdict.reason
