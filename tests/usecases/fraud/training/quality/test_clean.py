"""What looks odd but is not a fault must not block: that is as much a promise as the faults."""

import numpy as np
import polars as pl
import pytest

from benchmarks.quality_faults import on_day, since, spoil
from benchmarks.quality_material import material_of
from benchmarks.quality_world import NOW_US, as_known_at, simulated_snapshot
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.verdicts import Verdict
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.features import FeatureContext, judge_features
from usecases.fraud.training.quality.judge import judge_quality

POLICY = read_policy()


def judge(rows: pl.DataFrame, as_of_us: int = NOW_US) -> Verdict:
    return judge_quality(rows, as_of_us, POLICY.quality)


@pytest.mark.parametrize("seed", range(8))
def test_clean_worlds_pass_both_gates_today_and_a_week_ago(seed: int) -> None:
    customers, crime_share = (60, 0.06) if seed % 2 else (200, 0.01)
    world = simulated_snapshot(seed, customers=customers, crime_share=crime_share)
    for as_of_us in (NOW_US, NOW_US - 7 * MICROS_PER_DAY):
        rows = as_known_at(world, as_of_us)
        verdict = judge(rows, as_of_us)
        assert verdict.passed, verdict.reason
        assert verdict.numbers["judged_days"] != 0
        material = material_of(rows, as_of_us, POLICY)
        assert material is None or judge_features(rows, material).passed


def test_the_order_of_the_rows_does_not_matter(clean: pl.DataFrame) -> None:
    shuffled = clean.sample(fraction=1.0, shuffle=True, seed=1)
    assert judge(shuffled) == judge(clean)


def test_daylight_saving_time_is_no_time_zone_shift(clean: pl.DataFrame) -> None:
    hour = pl.lit(MICROS_PER_HOUR)
    moved = {name: pl.col(name) - hour for name in ("event_time", "ingested_at")}
    verdict = judge(spoil(clean, since(NOW_US, 12), **moved))
    assert verdict.passed, verdict.reason


def test_prices_that_doubled_are_no_other_unit(clean: pl.DataFrame) -> None:
    verdict = judge(spoil(clean, since(NOW_US, 12), amount=pl.col("amount") * 2))
    assert verdict.passed, verdict.reason


def test_an_outage_is_told_but_does_not_block(clean: pl.DataFrame) -> None:
    hours = pl.col("event_time") % MICROS_PER_DAY // MICROS_PER_HOUR
    verdict = judge(clean.filter(~(on_day(NOW_US, 4) & hours.is_between(7, 16))))
    assert verdict.passed, verdict.reason
    assert verdict.numbers["outage"] == pytest.approx(200, rel=0.3)
    assert "noticed: event_time has a hole of 10 hours" in verdict.reason


def test_one_traveller_in_a_new_country_is_no_new_category(clean: pl.DataFrame) -> None:
    busiest = clean["user_id"].mode()[0]
    hit = since(NOW_US, 10) & (pl.col("user_id") == busiest)
    verdict = judge(spoil(clean, hit, country=pl.lit("NZ")))
    assert verdict.passed, verdict.reason


def test_early_complaints_are_no_flipped_labels(clean: pl.DataFrame) -> None:
    newest = clean.filter(since(NOW_US, 6))
    assert newest["label"].mean() == 1.0
    assert judge(clean).passed


def test_a_feed_that_begins_to_fill_a_column_is_no_fault(clean: pl.DataFrame) -> None:
    verdict = judge(spoil(clean, ~since(NOW_US, 5), device_id=pl.lit(None)))
    assert verdict.passed, verdict.reason


def test_a_history_of_a_few_days_is_not_compared(clean: pl.DataFrame) -> None:
    verdict = judge(clean.filter(since(NOW_US, 12)).with_columns(amount=pl.col("amount").round(0)))
    assert verdict.numbers["judged_days"] == 0


def test_few_positives_and_few_served_rows_are_not_judged_by_their_features(
    clean: pl.DataFrame, material: FeatureContext
) -> None:
    context = FeatureContext(
        material.policy,
        material.names,
        material.matrix,
        material.split,
        served=type(material.served)(
            material.served.transaction_ids[:49],
            material.served.names,
            material.served.matrix[:49] + np.float32(1),
        ),
    )
    one_positive = clean.with_columns(
        label=(pl.int_range(pl.len()) == material.split.train[0]).cast(pl.Int8)
    )
    assert judge_features(one_positive, context).passed


def test_the_days_between_an_export_and_live_traffic_do_not_block(clean: pl.DataFrame) -> None:
    begin = (NOW_US // MICROS_PER_DAY - 6) * MICROS_PER_DAY
    end = begin + 2 * MICROS_PER_DAY + 9 * MICROS_PER_HOUR
    is_live = pl.col("event_time") >= end
    gap = clean.filter((pl.col("event_time") < begin) | is_live)
    senders = pl.when(is_live).then(pl.lit("anonymous")).otherwise(pl.lit("import/3"))
    verdict = judge(gap.with_columns(sent_by=senders))
    assert verdict.passed, verdict.reason
    assert "handover" in verdict.numbers
    cut = judge(gap.with_columns(sent_by=pl.lit("anonymous")))
    assert "truncated_day" in cut.numbers
    assert pl.Series([begin]).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d 00:00")[0] in cut.reason
