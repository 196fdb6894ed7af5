"""Two workers in one process: two services over one registry, as two processes would be."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.registry.lock import RegistryLock
from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, bias_of, install
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_pushes import audit
from tests.support.api_workers import user_of, worker

pytestmark = pytest.mark.slow


@pytest.fixture
def both(settings: Settings) -> Iterator[tuple[Running, Running]]:
    with worker(settings, 0) as first, worker(settings, 1) as second:
        yield first, second


def version(server: Running) -> str:
    return str(server.client.get("/current_model").json()["version"])


def distrustful(settings: Settings) -> Settings:
    """A worker that does not know the key of whoever signs."""
    keys = settings.keys_dir.with_name("other-keys")
    Signer(keys)
    return settings.model_copy(update={"keys_dir": keys})


def test_a_push_and_a_rollback_on_any_worker_are_served_by_all_when_they_are_answered(
    both: tuple[Running, Running], signer: Signer
) -> None:
    first, second = both
    pushed = first.push(signer.bundle("1.0.1"), signer).json()
    assert version(second) == "1.0.1"
    assert (pushed["workers"], pushed["partial"]) == (
        {"serving": 2, "total": 2, "failed": []}, False,
    )  # fmt: skip
    assert first.score(amount=2.0).json()["probability"] == 1.0 + bias_of("1.0.1")
    assert second.score(amount=2.0).json()["probability"] == 1.0 + bias_of("1.0.1")
    second.rollback()
    assert version(first) == version(second) == "1.0.0"
    # Either of them knows what was accepted by the other.
    assert second.push(signer.bundle("1.0.1"), signer).status_code == 409
    assert second.rollback().status_code == 409


def test_a_version_is_accepted_once_whichever_worker_is_asked(
    both: tuple[Running, Running], signer: Signer
) -> None:
    first, second = both
    raw = signer.bundle("1.0.1")
    assert first.push(raw, signer, **{"X-Fencing-Number": "7"}).status_code == 200
    assert second.push(raw, signer).status_code == 409
    stale = second.push(signer.bundle("1.0.2"), signer, **{"X-Fencing-Number": "6"})
    assert stale.json()["type"].endswith("stale-fencing-number")


def test_a_worker_that_starts_later_starts_on_what_was_promoted(
    settings: Settings, signer: Signer
) -> None:
    with worker(settings, 0) as first:
        pushed = first.push(signer.bundle("1.0.1"), signer).json()
        assert pushed["partial"] is True
        assert pushed["workers"]["failed"] == [{"worker": 1, "reason": "it is not running"}]
        with worker(settings, 1) as second:
            assert version(second) == "1.0.1"
            wait_until(lambda: first.service.workers.roster.status().serving == 2)


def test_a_worker_that_cannot_load_a_version_says_so_everywhere(
    settings: Settings, signer: Signer
) -> None:
    other = distrustful(settings)
    with worker(settings, 0) as first, ExitStack() as stack:
        # It trusts the key for as long as it starts, and no longer.
        trusted = next((settings.keys_dir / "trust").glob("*.pub"))
        borrowed = other.keys_dir / "trust" / trusted.name
        borrowed.write_bytes(trusted.read_bytes())
        second = stack.enter_context(worker(other, 1))
        borrowed.unlink()
        pushed = first.push(signer.bundle("1.0.1"), signer)
        assert pushed.status_code == 200
        answer = pushed.json()
        assert (answer["partial"], answer["workers"]["serving"]) == (True, 1)
        (left,) = answer["workers"]["failed"]
        assert left["worker"] == 1
        assert "key" in left["reason"]

        assert (version(first), version(second)) == ("1.0.1", "1.0.0")
        ready = second.client.get("/readyz").json()
        assert ready["version"] == "1.0.0"
        assert ready["behind"].startswith("1.0.1: ")
        health = second.client.get("/api/health").json()
        assert health["components"]["workers"]["state"] == "degraded"
        series = 'understudy_worker_behind{worker="1"} 1.0'
        wait_until(lambda: series in first.client.get("/metrics").text)
        # As soon as it can, it does.
        borrowed.write_bytes(trusted.read_bytes())
        second.service.models.promoter.try_again()
        assert version(second) == "1.0.1"
        assert second.client.get("/readyz").json()["behind"] is None


def test_a_rollback_works_with_database_and_run_directory_gone(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    with worker(settings, 0) as first, worker(settings, 1) as second:
        settings.journal_dir.parent.joinpath("understudy.db").unlink()
        shutil.rmtree(settings.run_dir)
        settings.run_dir.write_text("a file where the directory was")
        answer = first.rollback()
        assert answer.status_code == 200
        assert answer.json()["partial"] is True
        wait_until(lambda: version(second) == "1.0.0", 2)


def test_a_rollback_that_cannot_be_written_down_yet_is_as_soon_as_it_can_be(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    with worker(settings, 0) as first, worker(settings, 1) as second:
        stuck = RegistryLock(settings.prod_models_dir / ".write.lock")
        with stuck.held(1.0):
            answer = first.rollback("it is wrong")
            assert answer.json()["type"] == "urn:understudy:problem:registry-failed"
            assert (version(first), version(second)) == ("1.0.0", "1.0.1")
        first.service.models.promoter.try_again()
        wait_until(lambda: version(second) == "1.0.0")
        assert version(first) == "1.0.0"
        # Neither of them would ever return to what was left.
        assert (first.rollback().status_code, second.rollback().status_code) == (409, 409)
    assert [(line["what"], line["why"]) for line in audit(settings)] == [
        ("rollback", "it is wrong")
    ]


def test_metrics_of_all_workers_are_told_by_any_of_them(both: tuple[Running, Running]) -> None:
    first, second = both
    for _ in range(3):
        assert second.score(amount=1.0).status_code == 200
    series = 'understudy_requests_total{route="/score",status="200",worker="1"} 3.0'
    wait_until(lambda: series in first.client.get("/metrics").text)
    text = first.client.get("/metrics").text
    assert 'understudy_model_info{version="1.0.0",worker="0"} 1.0' in text
    assert 'understudy_workers{worker="0"} 2.0' in text
    assert text.count("# TYPE understudy_requests_total counter") == 1


def test_the_journals_of_workers_that_are_no_longer_there_are_drained(
    settings: Settings, tmp_path: Path
) -> None:
    database = tmp_path / "understudy.db"
    database.rename(tmp_path / "away")
    database.mkdir()
    with worker(settings, 0) as first, worker(settings, 1) as second:
        assert first.score(amount=1.0, user_id=user_of(0), transaction_id="a").status_code == 200
        assert second.score(amount=1.0, user_id=user_of(1), transaction_id="b").status_code == 200
    with Running(settings) as single:
        assert single.score(amount=1.0, transaction_id="c").status_code == 200
    database.rmdir()
    (tmp_path / "away").rename(database)
    # Of two workers, nobody writes where the single process did.
    with worker(settings, 0) as first:
        wait_until(lambda: not list(settings.journal_dir.glob("*.journal")))
        stored = {row["transaction_id"] for row in stored_rows(first.service.database.engine)}
        assert stored == {"a", "c"}
    # The single process finds what worker 1 left.
    with Running(settings) as single:
        wait_until(lambda: not list(settings.journal_dir.glob("worker-1/*.journal")))
        stored = {row["transaction_id"] for row in stored_rows(single.service.database.engine)}
        assert stored == {"a", "b", "c"}
    states = [json.loads(path.read_bytes()) for path in settings.run_dir.glob("state-*.json")]
    assert states == []


def both_drained(*servers: Running) -> None:
    for server in servers:
        server.drained()


def test_a_row_scored_by_one_worker_is_the_others_past_once_it_is_drained(
    both: tuple[Running, Running],
) -> None:
    first, second = both
    answer = first.score(amount=1.0, user_id="u", transaction_id="t")
    both_drained(first, second)
    assert second.score(amount=1.0, user_id="u", transaction_id="t").content == answer.content
    assert second.score(amount=1.0, user_id="u").json()["seen_before"] == 1
    both_drained(first, second)
    assert len(stored_rows(first.service.database.engine)) == 2


def test_the_audit_trail_has_every_change_once(
    both: tuple[Running, Running], signer: Signer
) -> None:
    first, second = both
    first.push(signer.bundle("1.0.1"), signer)
    second.push(signer.bundle("1.0.2"), signer)
    first.rollback()
    said = [(line["what"], line["version"]) for line in audit(first.settings)]
    assert said == [("promotion", "1.0.1"), ("promotion", "1.0.2"), ("rollback", "1.0.1")]
    assert first.token(Role.PUSH) == second.token(Role.PUSH)
