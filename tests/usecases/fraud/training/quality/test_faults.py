"""Each fault is injected into a simulated world; the verdict has to name it and its column."""

import polars as pl
import pytest

from benchmarks.quality_faults import FAULTS, Fault
from benchmarks.quality_material import FEATURE_FAULTS, FeatureFault
from benchmarks.quality_senders import SENDER_FAULTS
from benchmarks.quality_world import NOW_US
from shared.verdicts import Outcome, Verdict
from usecases.fraud.training.policy import read_policy
from usecases.fraud.training.quality.features import FeatureContext, judge_features
from usecases.fraud.training.quality.judge import judge_quality

QUALITY = read_policy().quality


def name_of(fault: Fault | FeatureFault) -> str:
    return fault.name


def is_named(verdict: Verdict, fault: Fault | FeatureFault) -> bool:
    """Blocked, with the column before the name of the fault, and with a figure."""
    before, name, _ = verdict.reason.partition(f"[{fault.said}]")
    return (
        verdict.outcome is Outcome.FAIL
        and bool(name)
        and fault.column in before
        and verdict.numbers[fault.said] is not None
    )


@pytest.mark.parametrize("fault", [*FAULTS, *SENDER_FAULTS], ids=name_of)
def test_a_fault_of_the_rows_is_caught_and_named(clean: pl.DataFrame, fault: Fault) -> None:
    verdict = judge_quality(fault.inject(clean, NOW_US), NOW_US, QUALITY)
    assert is_named(verdict, fault), verdict.reason


@pytest.mark.parametrize("fault", FEATURE_FAULTS, ids=name_of)
def test_a_fault_of_the_features_is_caught_and_named(
    clean: pl.DataFrame, material: FeatureContext, fault: FeatureFault
) -> None:
    verdict = judge_features(clean, fault.inject(material, clean))
    assert is_named(verdict, fault), verdict.reason


def test_every_fault_has_its_own_name() -> None:
    names = [*map(name_of, [*FAULTS, *SENDER_FAULTS]), *map(name_of, FEATURE_FAULTS)]
    assert len(set(names)) == len(names) >= 20


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("unit times 100", {"days": 2}),
        ("a burst of nulls", {"days": 1}),
        ("time zone shift, also of ingestion", {"hours": -5}),
        ("a truncated day", {"hours": 13}),
        ("transaction ids reused across users", {}),
    ],
)
def test_the_worst_finding_comes_first_and_carries_its_numbers(
    clean: pl.DataFrame, name: str, numbers: dict[str, float]
) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]
    verdict = judge_quality(fault.inject(clean, NOW_US), NOW_US, QUALITY)
    assert f"[{fault.said}]" in verdict.reason.split(";")[0]
    for key, value in numbers.items():
        found = verdict.numbers.get(
            f"{fault.said}.{fault.column}.{key}", verdict.numbers[fault.said]
        )
        assert found == value
