"""What holds for every screen there is: page, JSON, CSV, command, and databases that are away."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from markupsafe import Markup

from console.screen import Screen
from console.screens.catalogue import SCREENS
from console.screens.runs import RunComparison
from console.wording import change_word
from tests.support.console_bench import Bench

LISTED = [screen for screen in SCREENS if screen.in_navigation]


def ids(screen: Screen) -> str:
    return screen.name


@contextmanager
def locked(bench: Bench) -> Iterator[None]:
    """The database, held by a process that lets nobody read."""
    bench.engine.dispose()
    holder = sqlite3.connect(bench.folder / "rows.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.close()


@pytest.mark.parametrize("screen", LISTED, ids=ids)
def test_a_screen_says_its_question_its_command_and_where_its_numbers_are(
    bench: Bench, screen: Screen
) -> None:
    answer = bench.browser().get(screen.path)
    assert answer.status_code == 200
    assert f"<h1>{screen.name}</h1>" in answer.text
    for part in ("understudy ", f"{screen.path}.json", f"{screen.path}.csv", 'aria-current="page"'):
        assert part in answer.text


@pytest.mark.parametrize("screen", LISTED, ids=ids)
def test_a_screen_is_there_as_json_and_as_csv(bench: Bench, screen: Screen) -> None:
    browser = bench.browser()
    told = browser.get(f"{screen.path}.json")
    assert (told.status_code, told.headers["Content-Type"]) == (200, "application/json")
    assert told.json()["troubles"] == []
    table = browser.get(f"{screen.path}.csv")
    assert table.status_code == 200
    assert list(csv.reader(io.StringIO(table.text))) != []


@pytest.mark.parametrize("screen", LISTED, ids=ids)
def test_a_screen_says_that_the_api_is_away_and_shows_what_it_has(
    bench: Bench, screen: Screen
) -> None:
    bench.api.is_away = True
    answer = bench.browser().get(screen.path)
    assert answer.status_code == 200
    assert f"<h1>{screen.name}</h1>" in answer.text


@pytest.mark.parametrize("screen", LISTED, ids=ids)
def test_a_screen_says_that_the_database_is_locked_or_gone_and_shows_what_it_has(
    bench: Bench, screen: Screen
) -> None:
    browser = bench.browser()
    with locked(bench):
        answer = browser.get(screen.path)
    assert answer.status_code == 200
    bench.wired.sources.reads.forget()
    bench.engine.dispose()
    for path in bench.folder.glob("rows.db*"):
        path.unlink()
    answer = browser.get(screen.path)
    assert answer.status_code == 200
    if "The database could not be read" not in answer.text:
        told = browser.get(f"{screen.path}.json").json()
        assert [one["source"] for one in told["troubles"]] in ([], ["files"]), "reads no database"


@pytest.mark.parametrize("screen", LISTED, ids=ids)
def test_a_page_needs_no_script_and_repeats_itself_only_in_its_live_part(
    bench: Bench, screen: Screen
) -> None:
    page = bench.browser().get(screen.path).text
    assert page.count("<script") == page.count('<script src="/static/')
    before, _, _ = page.partition('<div id="live"')
    assert "<h1>" in before


def test_a_run_that_cannot_be_read_is_not_said_to_be_missing(bench: Bench) -> None:
    run_id, browser = bench.add_run(), bench.browser()
    assert browser.get(f"/runs/{run_id + 1}").status_code == 404
    with locked(bench):
        answer = browser.get(f"/runs/{run_id}")
    assert answer.status_code == 503
    assert "locked by another process" in answer.text


def test_tables_of_another_release_are_said_to_be_that(bench: Bench) -> None:
    with bench.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE modeltrainingruns RENAME COLUMN attempts TO tries")
    assert "those of another release" in bench.browser().get("/runs").text


@pytest.mark.parametrize(
    ("lower", "upper", "limit", "words"),
    [
        (0.01, 0.02, -0.01, "better"),
        (-0.005, 0.02, -0.01, "no worse than allowed"),
        (-0.005, -0.001, -0.01, "no worse than allowed"),
        (-0.06, -0.02, -0.05, "worse, perhaps within what is allowed"),
        (-0.09, -0.06, -0.05, "worse"),
        (-0.09, -0.06, None, "worse"),
        (-0.02, 0.02, -0.01, "not clear"),
    ],
)
def test_a_comparison_is_called_worse_only_beyond_what_may_be_lost(
    lower: float, upper: float, limit: float | None, words: str
) -> None:
    middle = (lower + upper) / 2
    compared = RunComparison("auc", middle, lower, upper, limit, is_primary=True, chart=Markup())
    assert compared.words == words


@pytest.mark.parametrize(
    ("metric", "now", "then", "word"),
    [
        ("auc", 0.97, 0.96, "worse"),
        ("auc", 0.96, 0.97, "better"),
        ("brier", 0.003, 0.004, "worse"),
        ("alert_missed", 40.0, 30.0, "better"),
        ("auc", 0.97, 0.97001, "the same"),
        ("alert_volume", 12.0, 13.0, ""),
        ("something_new", 1.0, 2.0, ""),
    ],
)
def test_a_rollback_says_of_each_metric_whether_it_gets_worse(
    metric: str, now: float, then: float, word: str
) -> None:
    assert change_word(metric, now, then) == word


def test_the_first_page_asks_for_a_person_after_a_drift_alarm_and_not_after_a_quiet_check(
    bench: Bench,
) -> None:
    column = {"name": "amount", "effect": 1.0, "floor": 0.5}
    for has_alarm in (False, True, False):
        answer = "Yes: amount has moved" if has_alarm else "No"
        metrics = {"columns": [{**column, "alarm": has_alarm}], "answer": answer}
        bench.add_run(jobname="drift", status="SUCCEEDED", metrics=metrics)
        bench.wired.sources.reads.forget()
        page = bench.browser().get("/now").text
        assert ("Drift: amount has moved." in page) == has_alarm
        assert ("needs you" in page) == has_alarm


@pytest.mark.parametrize(
    ("message", "is_said"),
    [("data_quality FAIL: lat is null in half of the rows", True),
     ("metrics FAIL: auc is worse", False)],
)  # fmt: skip
def test_the_first_page_asks_for_a_person_where_the_rows_are_at_fault_not_the_candidate(
    bench: Bench, message: str, is_said: bool
) -> None:
    bench.add_run(status="REFUSED", statusmessage=message)
    page = bench.browser().get("/now").text
    assert ("was refused for its data: lat is null" in page) == is_said
    assert ("correct them at their source" in page) == is_said
