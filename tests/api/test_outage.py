"""The database is a directory where a file should be: every connection really fails."""

from collections.abc import Iterator

import pytest

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.server import Running, wait_until
from tests.support.api_calls import feedback, labels_of


@pytest.fixture
def away(settings: Settings) -> Iterator[Running]:
    path = settings.journal_dir.parent / "understudy.db"
    path.unlink()
    path.mkdir()
    with Running(settings) as server:
        yield server


def back(server: Running) -> None:
    (server.settings.journal_dir.parent / "understudy.db").rmdir()
    wait_until(lambda: server.service.journaling.journal.backlog == 0, 15)


def test_while_the_database_is_down_scoring_goes_on_and_it_drains_by_itself(away: Running) -> None:
    first = away.score(amount=1.0, user_id="u", transaction_id="t")
    assert first.status_code == 200
    assert away.score(amount=1.0, user_id="u").json()["seen_before"] == 1
    assert away.score(amount=1.0, user_id="u", transaction_id="t").json() == first.json()
    assert away.client.get("/readyz").status_code == 200
    back(away)
    assert set(labels_of(away)) >= {"t"}
    assert away.score(amount=1.0, user_id="u", transaction_id="t").json() == first.json()


def test_feedback_is_kept_until_the_database_is_back(away: Running) -> None:
    away.score(amount=1.0, transaction_id="t")
    answer = feedback(
        away, {"transaction_id": "t", "label": 1}, {"transaction_id": "x", "label": 0}
    )
    assert answer.json() == {"stored": 0, "queued": 2, "unknown": []}
    back(away)
    assert labels_of(away) == {"t": (1, "feedback")}


def test_health_and_metrics_tell_of_the_outage(away: Running) -> None:
    away.score(amount=1.0)
    wait_until(lambda: away.service.journaling.drain.trouble is not None)
    health = away.client.get("/api/health").json()
    assert health["status"] == "degraded"
    assert health["components"]["database"]["state"] == "down"
    assert health["components"]["journal"]["state"] == "degraded"
    assert health["components"]["journal"]["figures"]["backlog"] == 1
    assert "understudy_journal_backlog 1.0" in away.client.get("/metrics").text
    back(away)
    wait_until(lambda: away.client.get("/api/health").json()["status"] == "ok")


def test_what_needs_the_database_says_that_it_is_away(away: Running) -> None:
    trigger = away.client.post(
        "/api/mlops/trigger-retraining", auth=("operator", away.token(Role.TRIGGER))
    )
    for answer in (trigger, away.client.get("/api/mlops/runs")):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:understudy:problem:database-unavailable"
        assert "understudy.db" not in answer.text


def test_what_was_journaled_is_stored_by_the_next_process(settings: Settings) -> None:
    path = settings.journal_dir.parent / "understudy.db"
    path.unlink()
    path.mkdir()
    with Running(settings) as server:
        first = server.score(amount=1.0, user_id="u", transaction_id="t").json()
    with Running(settings) as server:
        assert server.score(amount=1.0, user_id="u", transaction_id="t").json() == first
        assert server.score(amount=1.0, user_id="u").json()["seen_before"] == 1
        back(server)
        assert "t" in labels_of(server)


def test_a_full_journal_refuses_and_loses_nothing_that_was_answered(settings: Settings) -> None:
    path = settings.journal_dir.parent / "understudy.db"
    path.unlink()
    path.mkdir()
    with Running(settings.model_copy(update={"journal_max_bytes": 64 * 1024})) as server:
        answered: set[str] = set()
        for number in range(1_000):
            answer = server.score(amount=1.0, transaction_id=f"t{number}")
            if answer.status_code != 200:
                break
            answered.add(f"t{number}")
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:understudy:problem:journal-full"
        ready = server.client.get("/readyz")
        assert ready.status_code == 503
        assert "wait for the database" in ready.json()["detail"]
        assert server.client.get("/api/health").json()["status"] == "down"
        assert "understudy_journal_refusing 1.0" in server.client.get("/metrics").text
        back(server)
        assert set(labels_of(server)) == answered
        # the drained segments are deleted a moment after the database has their rows
        wait_until(lambda: server.client.get("/readyz").status_code == 200)
        assert server.score(amount=1.0).status_code == 200
