from typing import Any

import httpx
import pytest

from api.settings import Settings
from tests.api.server import Running
from tests.api.tiny import count_rows


def batch(server: Running, *instances: Any) -> httpx.Response:
    return server.client.post("/score/batch", json={"instances": list(instances)})


def test_a_batch_is_scored_and_names_its_version(serving: Running) -> None:
    answer = batch(serving, {"amount": 1.0}, {"amount": 2.0})
    assert answer.status_code == 200
    assert [row["probability"] for row in answer.json()["predictions"]] == [0.5, 1.0]
    assert answer.json()["version"] == answer.headers["X-Model-Version"] == "1.0.0"
    serving.drained()
    assert count_rows(serving.service.database.engine) == 2


def test_a_bad_row_gets_its_own_error_and_the_rest_are_scored(serving: Running) -> None:
    body = b'{"instances": [{"amount": 1}, {"amount": NaN}, {"amount": -1}, 7, {"amount": 2}]}'
    answer = serving.client.post(
        "/score/batch", content=body, headers={"Content-Type": "application/json"}
    )
    first, *bad, last = answer.json()["predictions"]
    assert (first["probability"], last["probability"]) == (0.5, 1.0)
    assert [row["index"] for row in bad] == [1, 2, 3]
    for row in bad:
        assert row["error"]["status"] == 422
        assert row["error"]["errors"][0]["remedy"]
    serving.drained()
    assert count_rows(serving.service.database.engine) == 2


def test_a_senseless_row_gets_its_own_error(serving: Running) -> None:
    answer = batch(serving, {"amount": 1.0, "event_time": "2999-01-01T00:00:00Z"}, {"amount": 1.0})
    far, good = answer.json()["predictions"]
    assert far["error"]["errors"][0]["field"] == "event_time"
    assert good["probability"] == 0.5


def test_rows_of_a_batch_see_those_before_them_as_if_sent_one_by_one(serving: Running) -> None:
    rows = [{"amount": 1.0, "user_id": "u"}] * 3
    answer = batch(serving, *rows)
    assert [row["seen_before"] for row in answer.json()["predictions"]] == [0, 1, 2]


def test_an_id_that_comes_twice_in_a_batch_counts_once(serving: Running) -> None:
    row = {"amount": 1.0, "transaction_id": "t"}
    first, second = batch(serving, row, row).json()["predictions"]
    assert first == second
    again = batch(serving, row).json()["predictions"]
    assert again == [first]
    serving.drained()
    assert count_rows(serving.service.database.engine) == 1


@pytest.mark.parametrize(
    "body", [{"instances": []}, {"instances": [{"amount": 1.0}] * 1001}, {"instances": 7}, {}]
)
def test_empty_and_oversized_batches_are_refused(serving: Running, body: Any) -> None:
    answer = serving.client.post("/score/batch", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "instances"


def test_what_the_journal_has_no_room_for_gets_its_own_error_and_the_rows_before_it_count(
    settings: Settings,
) -> None:
    small = settings.model_copy(
        update={"journal_max_bytes": 64 * 1024, "journal_drain_seconds": 60.0}
    )
    with Running(small) as server:
        rows = [{"amount": 1.0, "user_id": "u"}] * 500
        answer = batch(server, *rows)
        assert answer.status_code == 200
        told = answer.json()["predictions"]
        decided = [row for row in told if "error" not in row]
        refused = [row for row in told if "error" in row]
        assert [row["seen_before"] for row in decided] == list(range(len(decided)))
        assert 0 < len(decided) < 500
        assert [row["index"] for row in refused] == list(range(len(decided), 500))
        assert {row["error"]["type"] for row in refused} == {"urn:understudy:problem:journal-full"}
        whole = batch(server, *rows)
        assert whole.status_code == 503
        assert whole.json()["type"] == "urn:understudy:problem:journal-full"
        assert server.service.journaling.journal.backlog == len(decided)
