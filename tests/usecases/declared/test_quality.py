"""Faults injected into clean declared rows are caught and named; clean rows pass."""

import polars as pl
import pytest

from benchmarks.quality_declared import (
    DECLARED,
    FAULTS,
    NOW_US,
    ROWS,
    clean,
    every_fifth,
    verdict,
    where,
)
from shared.verdicts import Outcome
from usecases.declared.quality.judge import judge_quality, quarantine_rows


@pytest.mark.parametrize("name", FAULTS)
def test_an_injected_fault_is_caught_and_named(name: str) -> None:
    inject, fault, part = FAULTS[name]
    found = verdict(inject(clean()))
    assert found.outcome is Outcome.FAIL
    assert fault in found.numbers
    assert part in found.reason


@pytest.mark.parametrize("seed", range(5))
def test_clean_rows_pass(seed: int) -> None:
    found = verdict(clean(seed))
    assert found.outcome is Outcome.PASS, found.reason


def test_a_fault_that_was_looked_into_is_told_and_blocks_nothing() -> None:
    accepted = DECLARED.model_copy(
        update={"judge": DECLARED.judge.model_copy(update={"accepted": ("null_burst:charge",)})}
    )
    found = judge_quality(FAULTS["a burst of empty values"][0](clean()), NOW_US, accepted)
    assert found.outcome is Outcome.PASS
    assert "null_burst" in found.reason


def test_few_wrong_rows_are_set_aside_and_many_are_left_for_the_gate() -> None:
    frame = clean()
    few = where(pl.int_range(pl.len()) < 3, "charge", -1.0)(frame)
    taken = quarantine_rows(few, NOW_US, DECLARED)
    assert (taken.rows, taken.faults, taken.kept.height) == (
        3, {"charge_out_of_range": 3}, ROWS - 3,
    )  # fmt: skip
    many = where(every_fifth, "charge", -1.0)(frame)
    assert quarantine_rows(many, NOW_US, DECLARED).rows == 0
