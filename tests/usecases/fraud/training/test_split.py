"""Learn from the past, judge on the later past; nothing leaks between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clock import MICROS_PER_DAY
from shared.errors import TrainingFailed
from shared.usecase.learning import Split
from tests.usecases.fraud.training.examples import AS_OF_US, labelled_history, snapshot_of
from usecases.fraud.features.catalogue import LABEL_DELAY_US
from usecases.fraud.training.policy import FraudPolicy, read_policy
from usecases.fraud.training.split import chronological_split

POLICY = read_policy().split


@dataclass
class Sides:
    train: pl.DataFrame
    held_out: pl.DataFrame

    @classmethod
    def of(cls, snapshot: pl.DataFrame, split: Split) -> "Sides":
        return cls(snapshot[split.train], snapshot[split.held_out])


def split_of(snapshot: pl.DataFrame, **changes: Any) -> Sides:
    policy = POLICY.model_copy(update=changes)
    return Sides.of(snapshot, chronological_split(snapshot, AS_OF_US, policy))


def span_days(rows: pl.DataFrame) -> float:
    instants = rows["event_time"].to_numpy()
    return float(instants.max() - instants.min()) / MICROS_PER_DAY


def test_held_out_is_the_last_matured_window() -> None:
    sides = split_of(labelled_history(every=10), held_out_wanted_positives=1)
    newest = sides.held_out["event_time"].to_numpy().max()
    assert AS_OF_US - 7.1 * MICROS_PER_DAY < newest <= AS_OF_US - 7 * MICROS_PER_DAY
    assert span_days(sides.held_out) == pytest.approx(14.0, abs=0.1)


def test_no_training_label_became_known_after_the_held_out_window_starts() -> None:
    sides = split_of(labelled_history())
    starts = sides.held_out["event_time"].to_numpy().min()
    assert sides.train["label_known_at"].to_numpy().max() <= starts


def test_training_ends_a_label_delay_before_the_held_out_window() -> None:
    sides = split_of(labelled_history())
    gap = sides.held_out["event_time"].to_numpy().min() - sides.train["event_time"].to_numpy().max()
    assert gap >= 7 * MICROS_PER_DAY


def test_a_late_label_is_not_learned_from_even_when_the_event_is_old() -> None:
    snapshot = labelled_history()
    late = snapshot.with_columns(
        label_known_at=pl.when(pl.col("transaction_id") == "t2000")
        .then(AS_OF_US)
        .otherwise("label_known_at")
    )
    assert "t2000" in split_of(snapshot).train["transaction_id"]
    assert "t2000" not in split_of(late).train["transaction_id"]


def test_old_rows_are_left_out_of_training() -> None:
    sides = split_of(labelled_history(days=150), train_max_days=30.0)
    assert span_days(sides.train) <= 30.0


def test_unlabelled_rows_are_on_neither_side() -> None:
    sides = split_of(labelled_history())
    assert sides.train["label"].null_count() == sides.held_out["label"].null_count() == 0


def test_the_window_grows_until_it_holds_enough_positives() -> None:
    snapshot = labelled_history(every=40)
    few = split_of(snapshot, held_out_wanted_positives=5)
    more = split_of(snapshot, held_out_wanted_positives=20)
    assert span_days(more.held_out) > span_days(few.held_out)
    assert more.held_out["label"].sum() >= 20


def test_the_window_never_takes_more_than_its_share() -> None:
    sides = split_of(labelled_history(every=40), held_out_wanted_positives=10_000)
    assert span_days(sides.held_out) <= 0.35 * 180


@pytest.mark.parametrize("days", [20.0, 30.0, 90.0, 365.0])
def test_four_thousand_rows_are_enough(days: float) -> None:
    sides = split_of(labelled_history(days=days))
    assert sides.train.height > 500
    assert sides.held_out.height > 100
    assert sides.train["label"].sum() >= 10


def test_data_that_ended_long_ago_is_split_at_its_own_end() -> None:
    snapshot = labelled_history()
    year_later = AS_OF_US + 365 * MICROS_PER_DAY
    sides = Sides.of(snapshot, chronological_split(snapshot, year_later, POLICY))
    assert sides.held_out.height > 100


def test_a_snapshot_without_labels_says_so() -> None:
    snapshot = snapshot_of(np.arange(100) + AS_OF_US, [None] * 100)
    with pytest.raises(TrainingFailed, match="no row has a label"):
        split_of(snapshot)


def test_a_history_shorter_than_the_delay_says_so() -> None:
    with pytest.raises(TrainingFailed, match="more than the label delay of 7 days"):
        split_of(labelled_history(days=10))


def test_too_few_positives_to_learn_from_says_so() -> None:
    with pytest.raises(TrainingFailed, match="0 positives to learn from"):
        split_of(labelled_history(every=10_000).with_columns(_only_negatives()))


def _only_negatives() -> pl.Expr:
    return pl.when(pl.col("label").is_not_null()).then(pl.lit(0, pl.Int8)).alias("label")


@settings(max_examples=30, deadline=None)
@given(
    days=st.floats(30, 300),
    share=st.floats(0.05, 0.6),
    wanted=st.integers(1, 500),
    delay=st.floats(1, 14),
)
def test_whatever_the_policy_the_sides_never_touch(
    days: float, share: float, wanted: int, delay: float
) -> None:
    try:
        sides = split_of(
            labelled_history(days=days, count=1_000, every=5),
            held_out_max_share=share,
            held_out_wanted_positives=wanted,
            label_delay_days=delay,
            min_train_rows=1,
            min_train_positives=1,
        )
    except TrainingFailed:
        return
    starts = sides.held_out["event_time"].to_numpy().min()
    assert sides.train["event_time"].to_numpy().max() < starts - delay * MICROS_PER_DAY + 1
    assert sides.train["label_known_at"].to_numpy().max() <= starts


def test_the_shipped_policy_keeps_the_delay_of_the_features(policy: FraudPolicy) -> None:
    assert policy.split.label_delay_us == LABEL_DELAY_US
