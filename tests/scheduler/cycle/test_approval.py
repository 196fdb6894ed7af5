"""A candidate that passed every gate waits for a person, and only what was judged is promoted."""

from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, update

from scheduler.cycle.approvals import DatabaseApprovals
from scheduler.cycle.records import RunRecorder
from scheduler.cycle.runner import CycleRunner
from scheduler.decision import from_json
from scheduler.publisher import NotPromoted, Publisher
from scheduler.schedule.approval_watch import ApprovalWatch
from scheduler.scoring_api import Serving
from shared.bundle.archive import unpack
from shared.bundle.version import Version
from shared.clock import MICROS_PER_DAY
from shared.keys.store import sign
from shared.tables.approvals import (
    ApprovalState,
    NotWaiting,
    Ruling,
    approval_of,
    decide,
    list_approvals,
    waiting,
)
from shared.tables.leases import request_cancel
from shared.tables.runs import Run, RunStatus, claim_next, get_run, request_unless_unfinished
from shared.tables.schema import approvals
from shared.verdicts import Outcome
from tests.support.cycle_bench import CycleBench

HOURS = 72 * 3_600.0


@pytest.fixture
def held(bench: CycleBench) -> CycleBench:
    """A bench where a person has to approve."""
    required = DatabaseApprovals(bench.context.engine, HOURS)
    publisher = Publisher(bench.api, lambda raw: sign(raw, bench.private_key), required.check)
    bench.context = replace(bench.context, approvals=required, publisher=publisher)
    return bench


def ruled(bench: CycleBench, version: str, state: ApprovalState, lines: list[Any]) -> None:
    decide(bench.context.engine, version, Ruling(state, "operator/anna", "a test"), lines.append)


def approve(bench: CycleBench, version: str) -> None:
    ruled(bench, version, ApprovalState.APPROVED, [])


def carry_on(bench: CycleBench) -> Run:
    """What the worker of a scheduler that was just started does."""
    claimed = claim_next(bench.context.engine, "another scheduler")
    assert claimed is not None
    recorder = RunRecorder(bench.context.engine, structlog.get_logger())
    CycleRunner(bench.context, recorder).execute(claimed)
    found = get_run(bench.context.engine, claimed.run_id)
    assert found is not None
    return found


def watch(bench: CycleBench) -> ApprovalWatch:
    return ApprovalWatch(
        bench.context.engine, bench.api, bench.context.candidates, structlog.get_logger()
    )


def test_what_passed_every_gate_waits_with_its_evidence_and_nothing_is_signed(
    held: CycleBench,
) -> None:
    run = held.run()
    assert (run.status, run.code) == (RunStatus.AWAITING, "awaits_approval")
    assert run.finished_at is None
    assert run.lease_owner is None
    assert from_json(run.decision).promotes
    assert [verdict["outcome"] for verdict in run.verdicts] == ["PASS"] * 5
    assert run.metrics["candidate"]
    assert held.api.pushed == []
    assert not (held.root / "retrained_models" / "1.0.0" / "bundle.sig").exists()
    [one] = waiting(held.context.engine)
    raw = held.context.candidates.bundle(Version(1, 0, 0))
    assert raw is not None
    assert (one.version, one.sha256, one.champion_version) == (
        "1.0.0",
        unpack(raw).sha256,
        None,
    )
    assert one.expires_at_us - one.requested_at_us == HOURS * 1e6


def test_nothing_claims_a_run_that_waits_and_no_other_is_asked_for_beside_it(
    held: CycleBench,
) -> None:
    run = held.run()
    engine = held.context.engine
    assert claim_next(engine) is None
    assert request_unless_unfinished(engine, "retraining", 1, "first_model") == run.run_id


def test_an_approved_candidate_is_promoted_by_a_scheduler_that_knows_nothing_of_it(
    held: CycleBench,
) -> None:
    first = held.run()
    lines: list[Any] = []
    ruled(held, "1.0.0", ApprovalState.APPROVED, lines)
    assert [line.run_id for line in lines] == [first.run_id]
    held.use_case.rows = 0  # a second training would fail
    done = carry_on(held)
    assert (done.run_id, done.status, done.code) == (
        first.run_id,
        RunStatus.SUCCEEDED,
        "first_model",
    )
    assert done.metrics == first.metrics
    assert done.data_size == first.data_size
    names = [step["step"] for step in done.steps]
    assert names[: len(first.steps)] == [step["step"] for step in first.steps]
    assert names[-4:] == ["approved", "sign", "push", "verify"]
    [(raw, _)] = held.api.pushed
    [one] = list_approvals(held.context.engine)
    assert (unpack(raw).sha256, one.decided_by) == (one.sha256, "operator/anna")


def test_a_candidate_is_not_promoted_once_its_champion_was_replaced(held: CycleBench) -> None:
    held.run()
    approve(held, "1.0.0")
    carry_on(held)
    held.clock.move(8 * MICROS_PER_DAY)
    second = held.run()
    assert (second.status, second.champion_version) == (RunStatus.AWAITING, "1.0.0")
    approve(held, str(second.model_version))
    held.api.serving = Serving("0.9.0", "x" * 64)  # a person rolled back meanwhile
    done = carry_on(held)
    assert (done.status, done.code) == (RunStatus.REFUSED, "comparison_void")
    assert "0.9.0 serves" in (done.message or "")
    assert len(held.api.pushed) == 1
    found = approval_of(held.context.engine, done.run_id)
    assert found is not None
    assert found.state is ApprovalState.VOID


def test_the_watch_ends_what_waits_against_a_champion_that_is_gone(held: CycleBench) -> None:
    held.run()
    watching = watch(held)
    watching.tick()
    assert len(waiting(held.context.engine)) == 1
    held.api.serving = Serving("0.9.0", "x" * 64)
    watching.tick()
    run = get_run(held.context.engine, 1)
    assert run is not None
    assert (run.status, run.code) == (RunStatus.REFUSED, "comparison_void")
    record = held.context.candidates.verdicts(Version(1, 0, 0))
    assert record is not None
    assert record["status"] == "REFUSED"
    with pytest.raises(NotWaiting, match="void"):
        approve(held, "1.0.0")


def test_an_api_that_is_away_ends_nothing(held: CycleBench) -> None:
    held.run()
    held.api.away = True
    watch(held).tick()
    assert len(waiting(held.context.engine)) == 1


def test_a_candidate_that_no_person_decides_about_expires(held: CycleBench) -> None:
    run = held.run()
    late(held.context.engine)
    with pytest.raises(NotWaiting, match="it has expired"):
        approve(held, "1.0.0")
    watch(held).tick()
    found = get_run(held.context.engine, run.run_id)
    assert found is not None
    assert (found.status, found.code) == (RunStatus.REFUSED, "approval_expired")
    assert held.api.pushed == []


def late(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(update(approvals).values(expiresat=1))


def test_a_refused_candidate_is_over_and_says_by_whom(held: CycleBench) -> None:
    run = held.run()
    ruled(held, "1.0.0", ApprovalState.REFUSED, [])
    found = get_run(held.context.engine, run.run_id)
    assert found is not None
    assert (found.status, found.code) == (RunStatus.REFUSED, "approval_refused")
    assert found.message == "refused by operator/anna: a test"
    assert claim_next(held.context.engine) is None
    with pytest.raises(NotWaiting, match="refused by operator/anna"):
        approve(held, "1.0.0")


def test_a_newer_candidate_voids_the_one_that_waits(held: CycleBench) -> None:
    held.run()
    second = held.run()
    [one] = waiting(held.context.engine)
    assert one.version == second.model_version == "1.0.1"
    older = get_run(held.context.engine, 1)
    assert older is not None
    assert (older.status, older.code) == (RunStatus.REFUSED, "comparison_void")


def test_files_of_a_candidate_that_waits_are_never_cleared_out(held: CycleBench) -> None:
    held.run()
    held.context = replace(held.context, approvals=DatabaseApprovals(held.context.engine, None))
    for _ in range(5):
        held.use_case.quality = Outcome.FAIL
        held.run()
    assert held.context.candidates.bundle(Version(1, 0, 0)) is not None


def test_a_cancelled_run_waits_no_more(held: CycleBench) -> None:
    run = held.run()
    assert request_cancel(held.context.engine, run.run_id, "anna") is RunStatus.AWAITING
    with pytest.raises(NotWaiting, match="void by anna"):
        approve(held, "1.0.0")


def test_where_the_trail_cannot_be_written_nothing_is_decided(held: CycleBench) -> None:
    run = held.run()

    def full(_line: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        decide(
            held.context.engine, "1.0.0", Ruling(ApprovalState.APPROVED, "operator/anna", "x"), full
        )
    found = get_run(held.context.engine, run.run_id)
    assert found is not None
    assert found.status is RunStatus.AWAITING
    assert len(waiting(held.context.engine)) == 1


def test_the_publisher_refuses_what_no_person_approved(held: CycleBench) -> None:
    run = held.run()
    raw = held.context.candidates.bundle(Version(1, 0, 0))
    assert raw is not None
    decision = from_json(run.decision)
    with pytest.raises(NotPromoted, match="no person has approved"):
        held.context.publisher.sign(decision, raw)
    with pytest.raises(NotPromoted, match="no person has approved"):
        held.context.publisher.push(decision, raw, "a signature")
    approve(held, "1.0.0")
    assert held.context.publisher.sign(decision, raw)


def test_a_bundle_that_was_exchanged_meanwhile_is_not_promoted(held: CycleBench) -> None:
    held.run()
    approve(held, "1.0.0")
    held.context.candidates.save_bundle(Version(1, 0, 0), b"something else")
    done = carry_on(held)
    assert (done.status, done.code) == (RunStatus.FAILED, "candidate_missing")
    assert held.api.pushed == []


def test_a_scheduler_killed_after_the_push_finds_it_promoted(held: CycleBench) -> None:
    held.run()
    approve(held, "1.0.0")
    held.api.lose_push_answer = True
    done = carry_on(held)
    assert done.status is RunStatus.SUCCEEDED
    assert len(held.api.pushed) == 1


def test_where_no_approval_is_required_nothing_waits(bench: CycleBench) -> None:
    assert bench.run().status is RunStatus.SUCCEEDED
    assert list_approvals(bench.context.engine) == []
