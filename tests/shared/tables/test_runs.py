"""A run is asked for once, claimed once and kept with everything it showed."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from shared.tables.runs import (
    Run,
    RunStatus,
    claim_next,
    finish,
    get_run,
    list_runs,
    request_run,
)


def test_asking_twice_for_one_due_instant_is_one_run(engine: Engine) -> None:
    first = request_run(engine, "retrain", 1_000_000, "scheduler")
    assert request_run(engine, "retrain", 1_000_000, "scheduler") == first
    assert request_run(engine, "retrain", 2_000_000, "operator") != first


def test_runs_are_claimed_oldest_first_and_only_once(engine: Engine) -> None:
    first = request_run(engine, "retrain", 2_000_000, "operator")
    second = request_run(engine, "look", 1_000_000, "operator")
    claimed = [claim_next(engine), claim_next(engine), claim_next(engine)]
    assert [run.run_id if run else None for run in claimed] == [first, second, None]


def test_two_schedulers_never_get_the_same_run(engine: Engine) -> None:
    asked = {request_run(engine, f"job {due}", due, "operator") for due in range(20)}

    def claim_all(_: int) -> list[Run]:
        return list(iter(lambda: claim_next(engine), None))

    with ThreadPoolExecutor(4) as pool:
        claimed = [run.run_id for runs in pool.map(claim_all, range(4)) for run in runs]
    assert sorted(claimed) == sorted(asked)


def test_a_finished_run_keeps_what_it_had_to_show(engine: Engine) -> None:
    run_id = request_run(engine, "retrain", 1, "operator")
    claim_next(engine)
    finish(
        engine,
        run_id,
        RunStatus.REFUSED,
        "champion_kept",
        "the candidate is not better",
        model_version="1.0.2",
        data_size=4_000,
        metrics={"ap": 0.7, "undefined": float("nan")},
        verdicts=[{"gate": "metrics", "outcome": "INCONCLUSIVE"}],
    )
    run = get_run(engine, run_id)
    assert run is not None
    assert (run.status, run.code) == (RunStatus.REFUSED, "champion_kept")
    assert run.metrics == {"ap": 0.7, "undefined": None}
    assert run.verdicts == [{"gate": "metrics", "outcome": "INCONCLUSIVE"}]
    assert run.decision is None
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.scheduled_for == "1970-01-01T00:00:00.000001Z"


def test_the_newest_runs_are_listed_first(engine: Engine) -> None:
    ids = [request_run(engine, "retrain", due, "operator") for due in range(5)]
    assert [run.run_id for run in list_runs(engine, 3)] == ids[:1:-1]
    assert get_run(engine, 9_999) is None
