"""An entity belongs to one worker, whichever of them is asked."""

import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import pytest

from api.settings import Settings
from tests.api.plain import talk
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_calls import feedback, labels_of, named
from tests.support.api_workers import user_of, worker
from tests.support.raw_requests import LIVE, address_of, answers, request
from tests.support.sqlite_locks import write_lock


@pytest.fixture(params=["auto", "on"])
def both(settings: Settings, request: pytest.FixtureRequest) -> Iterator[tuple[Running, Running]]:
    """Two workers that score on their event loops, or in threads as beside PostgreSQL."""
    settings = settings.model_copy(update={"scoring_in_threads": request.param})
    with worker(settings, 0) as first, worker(settings, 1) as second:
        yield first, second


def seen(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["seen_before"])


@pytest.mark.parametrize("owner", [0, 1])
def test_a_burst_is_counted_whichever_worker_is_asked(
    both: tuple[Running, Running], owner: int
) -> None:
    def score(number: int) -> int:
        return seen(both[number % 2].score(amount=1.0, user_id=user_of(owner)))

    with ThreadPoolExecutor(8) as clients:
        counts = list(clients.map(score, range(40)))
    assert sorted(counts) == list(range(40))


def test_an_id_has_one_answer_whichever_worker_is_asked(both: tuple[Running, Running]) -> None:
    for user in (user_of(0), user_of(1), None):
        body = {"amount": 1.0, "transaction_id": f"t-{user}"}
        if user is not None:
            body["user_id"] = user
        found = [
            server.client.post(path, json=body).content
            for path in ("/score", "/score?slow")
            for server in both
        ]
        assert len(set(found)) == 1
        decided = {server.client.post("/decide", json=body).text for server in both}
        assert len(decided) == 1
        assert '"decision"' in decided.pop()
    for server in both:
        server.drained()
    assert len(stored_rows(both[0].service.database.engine)) == 3


def test_an_answer_that_came_from_another_worker_looks_like_any_other(
    both: tuple[Running, Running],
) -> None:
    first, second = both
    for path in ("/score", "/score?slow"):
        for body in (
            {"amount": 1.0, "user_id": user_of(0)},
            {"amount": 1.0, "user_id": user_of(0), "event_time": "2999-01-01T00:00:00Z"},
            {"amount": -1.0, "user_id": user_of(0)},
        ):
            own, forwarded = (server.client.post(path, json=body) for server in (first, second))
            assert own.status_code == forwarded.status_code
            ignored = {"date", "content-length", "x-request-id"}
            assert [pair for pair in own.headers.multi_items() if pair[0] not in ignored] == [
                pair for pair in forwarded.headers.multi_items() if pair[0] not in ignored
            ]
            if own.status_code == 422:
                assert own.json()["errors"][0]["field"] == forwarded.json()["errors"][0]["field"]


def test_a_batch_is_answered_in_its_order_and_counted_once(both: tuple[Running, Running]) -> None:
    users = [user_of(0), user_of(1)]
    rows: list[dict[str, object]] = [
        {"amount": float(n), "user_id": users[n % 3 % 2], "transaction_id": f"b{n}"}
        for n in range(20)
    ]
    rows[7] = {"amount": -1.0, "user_id": users[0]}
    rows[8] = {"amount": -1.0, "user_id": users[1]}
    replies = [server.client.post("/score/batch", json={"instances": rows}) for server in both]
    assert replies[0].headers["X-Model-Version"] == replies[0].json()["version"] == "1.0.0"
    found = replies[0].json()["predictions"]
    assert [row["index"] for row in found if "error" in row] == [7, 8]
    assert all(row["probability"] == n / 2 for n, row in enumerate(found) if n not in (7, 8))
    for user in users:
        counts = [
            row["seen_before"] for row, sent in zip(found, rows, strict=True)
            if sent["user_id"] == user and "error" not in row
        ]  # fmt: skip
        assert counts == list(range(len(counts)))
    assert [row for row in replies[1].json()["predictions"] if "error" not in row] == [
        row for row in found if "error" not in row
    ]


def test_one_id_of_two_users_is_decided_once_though_two_workers_own_them(
    both: tuple[Running, Running],
) -> None:
    first, second = both
    for number in range(20):
        name = f"t{number}"
        with ThreadPoolExecutor(2) as clients:
            found = list(
                clients.map(
                    lambda owner, name=name: both[owner].score(
                        amount=1.0, user_id=user_of(owner), transaction_id=name
                    ),
                    (0, 1),
                )
            )
        statuses = sorted(answer.status_code for answer in found)
        assert statuses == [200, 409]
        refused = next(answer for answer in found if answer.status_code == 409)
        assert named(refused) == ["user_id"]
    rows = [{"amount": 1.0, "user_id": user_of(n), "transaction_id": "b"} for n in (1, 0)]
    kept, refused_row = first.client.post("/score/batch", json={"instances": rows}).json()[
        "predictions"
    ]
    assert kept["transaction_id"] == "b"
    assert refused_row["error"]["status"] == 409
    for server in both:
        server.drained()
    assert named(second.score(amount=1.0, user_id="else", transaction_id="t0")) == ["user_id"]
    assert len(stored_rows(first.service.database.engine)) == 21


def test_an_id_whose_row_could_not_be_decided_is_free_again(settings: Settings) -> None:
    full = settings.model_copy(
        update={"journal_max_bytes": 64 * 1024, "journal_drain_seconds": 60.0}
    )
    with worker(full, 0) as first, worker(settings, 1) as second:
        rows = [
            {"amount": 1.0, "user_id": user_of(0), "transaction_id": f"t{n}"} for n in range(300)
        ]
        answer = first.client.post("/score/batch", json={"instances": rows})
        refused = answer.json()["predictions"][-1]
        assert (refused["index"], refused["error"]["status"]) == (299, 503)
        again = second.score(amount=1.0, user_id=user_of(1), transaction_id="t299")
        assert again.status_code == 200


def test_requests_sent_without_waiting_are_answered_in_turn_wherever_they_are_scored(
    settings: Settings,
) -> None:
    with worker(settings, 0) as first, worker(settings, 1):
        wanted = [(1.0, 0), (2.0, 1), None, (3.0, 1), (4.0, 0), None, None, (5.0, 1)]
        sent = b"".join(
            LIVE if one is None else request(one[0], user_id=user_of(one[1])) for one in wanted
        )
        with talk(address_of(first), sent) as connection:
            found = answers(connection, len(wanted))
        for one, (status, body) in zip(wanted, found, strict=True):
            assert status == 200
            probability = orjson.loads(body).get("probability")
            assert probability == (None if one is None else one[0] / 2)


def test_a_malformed_request_behind_a_forwarded_one_does_not_take_its_answer(
    settings: Settings,
) -> None:
    with worker(settings, 0) as first, worker(settings, 1):
        sent = request(3.0, user_id=user_of(1)) + b"NONSENSE\r\n\r\n"
        with talk(address_of(first), sent) as connection:
            ((status, body),) = answers(connection, 1)
            assert (status, orjson.loads(body)["probability"]) == (200, 1.5)
            assert connection.recv(100) == b""


def test_without_its_owner_a_row_is_refused_by_name_and_never_answered_by_another(
    settings: Settings,
) -> None:
    brief = settings.model_copy(update={"peer_wait_seconds": 0.5})
    row = {"amount": 1.0, "user_id": user_of(1), "transaction_id": "t"}
    own = {"amount": 1.0, "user_id": user_of(0)}
    with worker(brief, 0) as first:
        with worker(brief, 1) as second:
            before = first.score(**row)
            second.drained()
        for path in ("/score", "/score?slow"):
            answer = first.client.post(path, json=row)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            assert answer.json()["type"] == "urn:understudy:problem:worker-unavailable"
        found = first.client.post("/score/batch", json={"instances": [row, own]}).json()
        assert found["predictions"][0]["error"]["status"] == 503
        assert found["predictions"][1]["probability"] == 0.5
        assert first.client.get("/api/health").json()["components"]["peers"]["state"] == "degraded"
        with worker(brief, 1):
            assert first.score(**row).content == before.content
            health = first.client.get("/api/health").json()["components"]["peers"]
            assert health["state"] == "ok"
            assert "understudy_peer_calls_given_up_total" in first.client.get("/metrics").text


def test_a_row_waits_for_its_owners_successor(settings: Settings) -> None:
    patient = settings.model_copy(update={"peer_wait_seconds": 30.0})
    with worker(patient, 0) as first, ThreadPoolExecutor(2) as clients:
        with worker(patient, 1):
            assert seen(first.score(amount=1.0, user_id=user_of(1))) == 0
        asked = [clients.submit(first.score, amount=1.0, user_id=user_of(1)) for _ in range(2)]
        with worker(patient, 1):
            assert sorted(seen(one.result()) for one in asked) == [1, 2]


def test_a_run_directory_that_was_cleaned_is_made_again(settings: Settings) -> None:
    with worker(settings, 0) as first, worker(settings, 1) as second:
        shutil.rmtree(settings.run_dir)
        socket = settings.run_dir / "peers" / "peer-1.sock"
        wait_until(socket.exists)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert seen(first.score(amount=1.0, user_id=user_of(1))) == 0
        assert seen(second.score(amount=1.0, user_id=user_of(1))) == 1
        for server in (first, second):
            server.service.workers.peers.claims.keep_shared()  # type: ignore[union-attr]
        first.score(amount=1.0, user_id=user_of(0), transaction_id="t")
        assert named(first.score(amount=1.0, user_id=user_of(1), transaction_id="t")) == ["user_id"]


def test_a_label_right_behind_its_decision_is_kept_whichever_worker_is_asked(
    settings: Settings,
) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with worker(slow, 0) as first, worker(slow, 1) as second:
        names = [(f"t{n}", user_of(n % 2)) for n in range(8)]
        for name, user in names:
            assert first.score(amount=1.0, user_id=user, transaction_id=name).status_code == 200
        for at, (name, _) in enumerate(names):
            answer = feedback((first, second)[at // 2 % 2], {"transaction_id": name, "label": 1})
            assert answer.json() == {"stored": 0, "queued": 1, "unknown": []}
        both_at_once = [{"transaction_id": name, "label": 0} for name, _ in names]
        answer = feedback(first, *both_at_once, {"transaction_id": "ghost", "label": 0})
        assert answer.json() == {"stored": 0, "queued": 8, "unknown": ["ghost"]}
    with Running(settings) as server:
        assert labels_of(server) == {name: (0, "feedback") for name, _ in names}


def test_a_label_whose_decision_may_wait_with_a_silent_worker_is_refused_by_name(
    settings: Settings,
) -> None:
    brief = settings.model_copy(update={"peer_wait_seconds": 0.5})
    with worker(brief, 0) as first:
        with worker(brief, 1):
            first.score(amount=1.0, user_id=user_of(0), transaction_id="own")
            first.score(amount=1.0, user_id=user_of(1), transaction_id="other")
        first.drained()
        found = [feedback(first, {"transaction_id": name, "label": 1}) for name in ("own", "other")]
        assert [answer.json()["stored"] for answer in found] == [1, 1]
        answer = feedback(first, {"transaction_id": "nobodys", "label": 1})
        assert (answer.status_code, answer.json()["first_not_kept"]) == (503, ["nobodys"])
        assert answer.json()["type"] == "urn:understudy:problem:worker-unavailable"


def test_a_label_of_another_workers_decision_waits_while_the_database_is_locked(
    settings: Settings,
) -> None:
    with worker(settings, 0) as first, worker(settings, 1) as second:
        with write_lock(settings):
            first.score(amount=1.0, user_id=user_of(1), transaction_id="t")
            answer = feedback(first, {"transaction_id": "t", "label": 1})
            assert answer.json() == {"stored": 0, "queued": 1, "unknown": []}
            assert second.service.journaling.journal.backlog == 2
        second.drained()
        assert labels_of(second) == {"t": (1, "feedback")}


def test_an_id_that_a_killed_worker_left_behind_is_known_after_a_resize(
    settings: Settings,
) -> None:
    waits = settings.model_copy(update={"journal_drain_seconds": 60.0})
    copy = settings.journal_dir.with_name("copy")
    with worker(waits, 0) as first, worker(waits, 1):
        before = first.score(amount=1.0, user_id=user_of(1), transaction_id="t")
        # as a kill leaves it: the orderly end drains what was copied before
        shutil.copytree(settings.journal_dir, copy)
        database = settings.journal_dir.with_name("understudy.db")
        shutil.copy(database, copy / "understudy.db")
    shutil.rmtree(settings.journal_dir)
    for tail in ("-wal", "-shm"):
        database.with_name(f"{database.name}{tail}").unlink(missing_ok=True)
    shutil.move(copy / "understudy.db", database)
    copy.rename(settings.journal_dir)
    with Running(settings) as alone:
        again = alone.score(amount=1.0, user_id=user_of(1), transaction_id="t")
        assert again.content == before.content
