"""Training on old data: every gate stands at the declared instant, and the page says so."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert

from scheduler.cycle.as_of import END_OF_DATA, parse_as_of, resolve_as_of
from scheduler.run_history import has_drifted
from scheduler.schedule.jobs import DRIFT
from shared.bundle.archive import unpack
from shared.clock import MICROS_PER_DAY, to_micros
from shared.errors import DataUnavailable
from shared.tables.runs import RunStatus
from shared.tables.schema import api_transaction_logs, transaction_history_logs
from tests.scheduler.fakes import NOW_US
from tests.support.cycle_bench import CycleBench, record
from usecases.fraud.learning import FraudLearning

OLD = "2020-06-30T00:00:00.000000Z"
OLD_US = 1_593_475_200_000_000


def old(bench: CycleBench, declared: str = OLD) -> CycleBench:
    return replace(bench, context=replace(bench.context, train_as_of=declared))


def store(engine: Engine, table: object, name: str, event_time: int) -> None:
    row = {
        "transaction_id": name,
        "user_id": "u",
        "event_time": event_time,
        "ingested_at": event_time,
        "amount": 1.0,
        "currency": "EUR",
        "merchant_id": "m",
        "transaction_type": "purchase",
    }
    if table is api_transaction_logs:
        row |= {"decided_at": event_time, "event_seq": 1, "model_version": "1.0.0", "score": 0.5}
    with engine.begin() as connection:
        known = {column.name for column in table.columns}  # type: ignore[attr-defined]
        values = {key: value for key, value in row.items() if key in known}
        connection.execute(insert(table).values(values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2020-06-30", OLD),
        ("2020-06-30T02:00:00+02:00", OLD),
        ("2020-06-30T00:00:00z", OLD),
        (" End-Of-Data ", END_OF_DATA),
    ],
)
def test_an_instant_is_read_in_the_forms_people_write(written: str, means: str) -> None:
    assert parse_as_of(written) == means


@pytest.mark.parametrize(
    ("written", "told"),
    [("last year", "end-of-data"), ("30.06.2020", "2020-06-30"), ("2020-06-30T10:00", "add Z")],
)
def test_what_is_no_instant_is_refused_with_what_is_allowed(written: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_as_of(written)


def test_the_end_of_the_data_is_the_newest_row_and_never_later_than_now(engine: Engine) -> None:

    def newest() -> int | None:
        return FraudLearning().newest_row_us(engine)

    with pytest.raises(DataUnavailable, match="understudy import"):
        resolve_as_of(END_OF_DATA, newest, NOW_US)
    store(engine, transaction_history_logs, "old", OLD_US)
    assert resolve_as_of(END_OF_DATA, newest, NOW_US).as_of_us == OLD_US
    store(engine, transaction_history_logs, "ahead", NOW_US + MICROS_PER_DAY)
    assert resolve_as_of(END_OF_DATA, newest, NOW_US).as_of_us == NOW_US
    assert resolve_as_of(None, newest, NOW_US).as_of_us == NOW_US


def test_old_data_is_trained_on_and_judged_as_of_then(bench: CycleBench) -> None:
    run = old(bench).run()

    assert run.status is RunStatus.SUCCEEDED
    [(raw, _)] = bench.api.pushed
    manifest = unpack(raw).manifest
    assert to_micros(manifest.created_at) == OLD_US
    assert to_micros(manifest.training_data.window_end) < OLD_US
    assert manifest.description == (
        "Trained from the snapshot of 2020-06-30T00:00:00.000000Z, on 2026-01-01T00:00:00.000000Z."
    )
    [snapshot] = [step for step in run.steps if step["step"] == "snapshot"]
    assert snapshot["as_of"] == OLD


def test_rounds_of_old_data_spend_the_error_of_the_year_in_which_they_run(
    bench: CycleBench,
) -> None:
    runs = [old(bench).run() for _ in range(3)]
    numbers = [
        next(verdict["numbers"] for verdict in run.verdicts if verdict["gate"] == "metrics")
        for run in runs[1:]
    ]
    assert [found["round_number"] for found in numbers] == [1, 2]


def test_a_candidate_of_old_data_does_not_replace_a_champion_that_knows_more(
    bench: CycleBench,
) -> None:
    bench.run()
    run = old(bench).run()

    assert run.status is RunStatus.REFUSED
    assert "inside a training window" in str(run.message)


def test_a_champion_of_old_data_is_that_old_for_the_next_run_as_of_now(bench: CycleBench) -> None:
    old(bench).run()
    run = bench.run()

    [metrics] = [verdict["numbers"] for verdict in run.verdicts if verdict["gate"] == "metrics"]
    assert metrics["champion_age_days"] == pytest.approx((NOW_US - OLD_US) / MICROS_PER_DAY, abs=1)


def test_drift_that_was_found_later_is_not_known_then(engine: Engine) -> None:
    record(engine, DRIFT, NOW_US, metrics={"alarm": True})
    assert has_drifted(engine, OLD_US, NOW_US)
    assert not has_drifted(engine, None, OLD_US)


def test_without_any_row_the_run_fails_and_says_what_to_do(bench: CycleBench) -> None:
    run = old(bench, END_OF_DATA).run()
    assert (run.status, run.code) == (RunStatus.FAILED, "data_unavailable")
    assert "understudy import" in str(run.message)


def test_the_page_says_what_a_model_of_old_data_does_not_know(bench: CycleBench) -> None:
    shown = replace(bench, context=replace(bench.context, reports=True))
    old(shown).run()
    page = (bench.root / "retrained_models" / "1.0.0" / "report.html").read_text()
    assert "Trained on old data." in page
    assert "2020-06-30 00:00 UTC" in page
