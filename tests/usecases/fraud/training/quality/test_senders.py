"""A new caller that writes somebody's past is a fault; callers that come and go are none."""

import numpy as np
import polars as pl
import pytest

from benchmarks.quality_faults import since, spoil
from benchmarks.quality_world import NOW_US, simulated_snapshot
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR
from shared.verdicts import Verdict
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.judge import judge_quality

QUALITY = read_policy().quality


def judge(rows: pl.DataFrame, *accepted: str) -> Verdict:
    policy = QUALITY.model_copy(update={"accepted": accepted})
    return judge_quality(rows, NOW_US, policy)


def sent(rows: pl.DataFrame, sender: pl.Expr, label_sender: pl.Expr | None = None) -> pl.DataFrame:
    labelled = pl.col("label").is_not_null()
    told = sender if label_sender is None else label_sender
    return rows.with_columns(sent_by=sender, label_sent_by=pl.when(labelled).then(told))


def share(rows: pl.DataFrame, part: float) -> pl.Expr:
    return pl.lit(pl.Series(np.random.default_rng(2).random(rows.height) < part))


def by(hit: pl.Expr, new: str, old: str = "shop-a") -> pl.Expr:
    return pl.when(hit).then(pl.lit(new)).otherwise(pl.lit(old))


ALWAYS = pl.lit(True)


@pytest.mark.parametrize(("seed", "days"), [(0, 1), (1, 4), (2, 10)])
def test_callers_that_come_and_go_as_they_do_are_no_fault(seed: int, days: int) -> None:
    rows = simulated_snapshot(seed, customers=150, crime_share=0.03)
    lately = pl.col("ingested_at") >= NOW_US - days * MICROS_PER_DAY
    third = share(rows, 1 / 3)
    worlds = {
        "one token": sent(rows, pl.lit("scorer")),
        "all anonymous": sent(rows, pl.lit("anonymous")),
        "one token since a few days, imports before": sent(
            rows, pl.when(lately).then(pl.lit("scorer"))
        ),
        "everybody sends with a new token": sent(rows, by(lately, "shop-b")),
        "a third gateway takes its share": sent(rows, by(lately & third, "gate-c")),
        "another gateway is moved to, row by row": sent(rows, by(lately & share(rows, 0.8), "b")),
        "two callers that were always there": sent(rows, by(third, "shop-b")),
        "an import every night": sent(
            rows, pl.format("import/{}", pl.col("ingested_at") // MICROS_PER_DAY)
        ),
        "imports until a caller takes over": sent(
            rows, pl.when(lately).then(pl.lit("scorer")).otherwise(pl.lit("import/1"))
        ),
        "a new shop with merchants and customers of its own": sent(rows, ALWAYS.cast(pl.String)),
    }
    for name, world in worlds.items():
        verdict = judge(world)
        assert "new_sender" not in verdict.numbers, f"{name}: {verdict.reason}"


def test_a_shop_that_joins_with_its_own_merchants_is_no_fault(clean: pl.DataFrame) -> None:
    fresh = clean.filter(since(NOW_US, 5)).with_columns(
        pl.format("new-{}", name).alias(name)
        for name in ("transaction_id", "user_id", "merchant_id", "device_id")
    )
    fresh = fresh.with_columns(
        sent_by=pl.lit("shop-b"),
    )
    verdict = judge(pl.concat([sent(clean, pl.lit("shop-a")), fresh]))
    assert "new_sender" not in verdict.numbers, verdict.reason


@pytest.mark.parametrize("others", ["shop-a", "anonymous", None])
def test_rows_in_a_strangers_name_are_named_with_their_sender(
    clean: pl.DataFrame, others: str | None
) -> None:
    victim = clean["user_id"].mode()[0]
    rows = sent(clean, pl.lit(others, pl.String))
    poison = rows.filter(pl.col("user_id") == victim).tail(60)
    place = pl.int_range(pl.len(), dtype=pl.Int64)
    poison = poison.with_columns(
        transaction_id=pl.format("p-{}", "transaction_id"),
        ingested_at=NOW_US - MICROS_PER_DAY + place,
        sent_by=pl.lit("newcomer"),
    )
    verdict = judge(pl.concat([rows, poison]))
    assert not verdict.passed
    assert "are from the new caller 'newcomer'" in verdict.reason
    assert verdict.numbers["new_sender.user_id.entities"] == 1
    assert victim not in verdict.reason
    assert judge(pl.concat([rows, poison]), "new_sender", "duplicated_day").passed


def test_positive_labels_of_a_new_caller_are_seen_beside_negative_ones(
    clean: pl.DataFrame,
) -> None:
    merchant = clean["merchant_id"].mode()[0]
    rows = sent(clean, pl.lit("shop-a"), pl.lit("office"))
    of_merchant = (pl.col("merchant_id") == merchant) & (pl.col("label") == 0)
    recent = pl.col("label_known_at") >= NOW_US - 8 * MICROS_PER_DAY
    at = NOW_US - MICROS_PER_HOUR + pl.int_range(pl.len(), dtype=pl.Int64)
    picked = of_merchant & ~recent & (pl.col("event_time") >= NOW_US - 40 * MICROS_PER_DAY)
    poisoned = spoil(
        rows, picked, label=pl.lit(1), label_known_at=at, label_sent_by=pl.lit("newcomer")
    )
    verdict = judge(poisoned)
    assert "[new_sender]" in verdict.reason
    assert verdict.numbers["new_sender.merchant_id.caller"] == "newcomer"


def test_a_caller_that_has_been_here_for_weeks_is_not_new(clean: pl.DataFrame) -> None:
    victim = clean["user_id"].mode()[0]
    old = pl.col("ingested_at") >= NOW_US - 20 * MICROS_PER_DAY
    own = by(old & (pl.col("user_id") == victim), "own-token")
    rows = sent(clean, own, pl.lit("office"))
    assert "new_sender" not in judge(rows).numbers
