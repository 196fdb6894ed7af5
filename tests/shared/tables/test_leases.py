"""Whoever lost a run can neither extend it, nor push for it, nor end it."""

import itertools

from sqlalchemy import Engine, text

from shared.tables.leases import (
    Holding,
    announce_push,
    give_back,
    record_steps,
    renew,
    request_cancel,
)
from shared.tables.runs import (
    Run,
    RunStatus,
    claim_next,
    finish,
    get_run,
    request_run,
    request_unless_unfinished,
)

JOB = "retraining"


def claimed(engine: Engine, seconds: float = 60) -> Run:
    run = claim_next(engine, "first", seconds)
    assert run is not None
    return run


def number(run: Run) -> int:
    assert run.fencing_number is not None
    return run.fencing_number


def row(engine: Engine, run_id: int) -> Run:
    run = get_run(engine, run_id)
    assert run is not None
    return run


def test_a_claim_names_its_owner_and_carries_a_number_that_grows(engine: Engine) -> None:
    for due in range(3):
        request_run(engine, f"job {due}", due, "schedule")
    runs = [claimed(engine) for _ in range(3)]

    assert {run.lease_owner for run in runs} == {"first"}
    assert all(a < b for a, b in itertools.pairwise(number(run) for run in runs))


def test_numbers_grow_on_in_a_database_that_was_emptied(engine: Engine) -> None:
    request_run(engine, JOB, 1, "schedule")
    before = number(claimed(engine))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM ModelTrainingRuns"))
    request_run(engine, JOB, 1, "schedule")

    assert number(claimed(engine)) >= before


def test_two_runs_of_one_job_are_never_in_progress_at_once(engine: Engine) -> None:
    request_run(engine, JOB, 1, "schedule")
    request_run(engine, JOB, 2, "operator")
    first = claimed(engine)
    assert claim_next(engine) is None

    finish(engine, first.run_id, RunStatus.SUCCEEDED, "promoted", "")
    assert claimed(engine).scheduled_for > first.scheduled_for


def test_a_run_whose_lease_ran_out_is_taken_over_and_the_loser_is_fenced(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    lost = claimed(engine, seconds=-1)
    taken = claim_next(engine, "second", 60)
    assert taken is not None
    assert (taken.run_id, taken.lease_owner, taken.attempts) == (run_id, "second", 2)

    mine = number(lost)
    assert number(taken) > mine
    assert renew(engine, run_id, mine, 60) is None
    assert not announce_push(engine, run_id, mine, 60, candidatesha256="00")
    assert not give_back(engine, run_id, mine, "code", "message")
    assert not finish(engine, run_id, RunStatus.FAILED, "", "", fencing_number=mine)
    assert (row(engine, run_id).lease_owner, row(engine, run_id).status) == ("second", "RUNNING")


def test_a_lease_that_is_extended_is_not_taken_over(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    run = claimed(engine, seconds=-1)

    assert renew(engine, run_id, number(run), 60) == Holding(None, is_pushing=False)
    assert claim_next(engine) is None


def test_a_run_that_is_over_cannot_be_ended_again(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    mine = number(claimed(engine))

    assert finish(engine, run_id, RunStatus.SUCCEEDED, "promoted", "", fencing_number=mine)
    assert not finish(engine, run_id, RunStatus.FAILED, "late", "", fencing_number=mine)
    assert row(engine, run_id).code == "promoted"


def test_a_run_given_back_waits_its_time_and_counts_its_attempts(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    assert give_back(engine, run_id, number(claimed(engine)), "away", "later", delay_seconds=60)
    assert claim_next(engine) is None
    assert row(engine, run_id).attempts == 1

    request_run(engine, "other", 1, "schedule")
    other = claimed(engine)
    assert give_back(engine, other.run_id, number(other), "stopped", "", counts=False)
    assert claimed(engine).attempts == 1


def test_a_run_that_has_not_begun_is_cancelled_at_once(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")

    assert request_cancel(engine, run_id, "me") is RunStatus.REQUESTED
    assert (row(engine, run_id).status, row(engine, run_id).code) == ("SKIPPED", "cancelled")
    assert claim_next(engine) is None


def test_a_run_in_progress_learns_of_its_cancellation_with_its_lease(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    run = claimed(engine)

    assert request_cancel(engine, run_id, "me") is RunStatus.RUNNING
    assert renew(engine, run_id, number(run), 60) == Holding("me", is_pushing=False)
    announce_push(engine, run_id, number(run), 60, candidatesha256="00")
    assert renew(engine, run_id, number(run), 60) == Holding("me", is_pushing=True)


def test_what_is_over_or_unknown_cannot_be_cancelled(engine: Engine) -> None:
    run_id = request_run(engine, JOB, 1, "schedule")
    finish(engine, run_id, RunStatus.SUCCEEDED, "promoted", "")

    assert request_cancel(engine, run_id, "me") is RunStatus.SUCCEEDED
    assert row(engine, run_id).cancel_requested_by is None
    assert request_cancel(engine, 99, "me") is None


def test_whoever_asks_while_a_run_is_unfinished_gets_that_run(engine: Engine) -> None:
    first = request_unless_unfinished(engine, JOB, 1, "first_model")
    assert request_unless_unfinished(engine, JOB, 2, "first_model") == first
    claimed(engine)
    assert request_unless_unfinished(engine, JOB, 3, "first_model") == first
    finish(engine, first, RunStatus.FAILED, "", "")
    assert request_unless_unfinished(engine, JOB, 4, "first_model") != first


def test_steps_of_a_run_in_progress_are_shown_by_its_holder_only(engine: Engine) -> None:
    request_run(engine, JOB, 1, "schedule")
    run = claimed(engine)
    steps = [{"step": "snapshot", "result": "ok"}]
    assert record_steps(engine, run.run_id, number(run), steps)
    assert row(engine, run.run_id).steps == steps
    assert not record_steps(engine, run.run_id, number(run) - 1, [])
    finish(engine, run.run_id, RunStatus.FAILED, "error", "broken", fencing_number=number(run))
    assert not record_steps(engine, run.run_id, number(run), [])
    assert row(engine, run.run_id).steps == steps
