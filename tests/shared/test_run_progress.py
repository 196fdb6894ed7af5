"""How far a run is: step, usual time, and when the end or the first model is expected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from shared.clock import MICROS_PER_SECOND, isoformat
from shared.run_progress import TYPICAL_SECONDS, UsualSeconds, progress_of, running_now
from shared.tables.engine import connect, migrate
from shared.tables.leases import record_steps
from shared.tables.runs import RunStatus, claim_next, finish, request_run

BEGUN_US = 1_800_000_000_000_000
TYPICAL = UsualSeconds(TYPICAL_SECONDS, is_measured=False)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path}/runs.db")
    migrate(engine)
    yield engine
    engine.dispose()


def at(seconds: float) -> int:
    return BEGUN_US + round(seconds * MICROS_PER_SECOND)


def over(name: str, begin: float, seconds: float, result: str = "ok") -> dict[str, Any]:
    begun = {"step": name, "started_at": isoformat(at(begin))}
    return {**begun, "duration_seconds": seconds, "result": result}


def running(name: str, begin: float) -> dict[str, Any]:
    return {"step": name, "started_at": isoformat(at(begin)), "result": "running"}


FIRST = [over("champion", 0, 0.1, "none_yet"), over("snapshot", 0.1, 3), running("train", 8)]


def test_a_first_training_says_when_its_model_is_expected_by_typical_times() -> None:
    found = progress_of(1, FIRST, TYPICAL, at(18))
    assert found is not None
    assert (found.step, found.is_first, found.usual_seconds) == ("train", True, 40.0)
    sentence = found.sentence(at(18))
    assert "train since 2027-01-15T08:00:08Z (10 s, typically 40 s)" in sentence
    assert "the first model is expected about 2027-01-15T08:0" in sentence


def test_on_a_slow_machine_what_is_to_come_takes_as_much_longer_as_what_is_over() -> None:
    slow = [FIRST[0], over("snapshot", 0.1, 12), running("train", 20)]
    usual, late = (progress_of(1, steps, TYPICAL, at(20)) for steps in (FIRST, slow))
    assert usual is not None
    assert late is not None
    assert (late.ends_at_us - at(20)) > 3 * (usual.ends_at_us - at(20))


def test_a_larger_history_is_expected_to_take_longer_and_is_no_slow_machine() -> None:
    """As of a hundred million rows: 40 minutes in all, where a quarter of them is over."""
    snapshot = {**over("snapshot", 0.1, 884), "rows": 100_000_000}
    steps = [FIRST[0], snapshot, running("features", 900)]
    found = progress_of(1, steps, TYPICAL, at(900))
    assert found is not None
    left_seconds = (found.ends_at_us - at(900)) / MICROS_PER_SECOND
    assert 1_000 < left_seconds < 3_000


def test_a_later_run_is_measured_by_the_newest_one_that_trained(engine: Engine) -> None:
    first, second = (request_run(engine, "retraining", due, "schedule") for due in (1, 2))
    claim_next(engine)
    steps = [over("snapshot", 0, 4), over("train", 4, 90), over("report", 94, 6)]
    finish(engine, first, RunStatus.SUCCEEDED, "promoted", "it is better", steps=steps)
    with engine.connect() as connection:
        assert running_now(connection, at(0)) is None
    run = claim_next(engine)
    assert run is not None
    record_steps(engine, second, run.fencing_number or 0,
                 [over("snapshot", 200, 4), running("train", 204)])  # fmt: skip
    with engine.connect() as connection:
        found = running_now(connection, at(214))
    assert found is not None
    assert (found.run_id, found.is_measured, found.usual_seconds) == (second, True, 90.0)
    assert found.ends_at_us == at(204 + 90 + 6)
    assert "its end is expected" in found.sentence(at(214))


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["step", "started_at", "duration_seconds", "result"]),
            st.sampled_from(["train", isoformat(BEGUN_US), 3.0, "running", None, "", -1]),
        ),
        max_size=4,
    )
)
def test_whatever_a_run_holds_as_steps_the_end_is_never_in_the_past(steps: list[Any]) -> None:
    found = progress_of(1, steps, TYPICAL, at(5))
    assert found is None or found.ends_at_us >= at(5)
