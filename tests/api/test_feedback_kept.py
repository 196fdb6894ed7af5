"""Acknowledged labels are kept, and labels that cannot be kept are refused with a reason."""

import threading
import time
from typing import Any

import pytest

from api.settings import Settings
from shared.clock import SystemClock, isoformat
from shared.keys.tokens import Role
from tests.api.server import Running
from tests.support.api_calls import feedback, labels_of
from tests.support.sqlite_locks import write_lock


def test_a_label_waits_in_the_journal_while_somebody_holds_the_write_lock(
    serving: Running,
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    with write_lock(serving.settings):
        began = time.monotonic()
        answer = feedback(serving, {"transaction_id": "t", "label": 1})
        assert answer.json() == {"stored": 0, "queued": 1, "unknown": []}
        assert time.monotonic() - began < 10
    serving.drained()
    assert labels_of(serving) == {"t": (1, "feedback")}


def test_a_label_that_can_go_nowhere_is_refused_by_name(settings: Settings) -> None:
    small = settings.model_copy(
        update={"journal_max_bytes": 64 * 1024, "journal_drain_seconds": 60.0}
    )
    with Running(small) as server, write_lock(settings):
        labels = [{"transaction_id": f"t{n}", "label": 1} for n in range(2_000)]
        answer = feedback(server, *labels)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:understudy:problem:journal-full"


def test_many_labels_at_once_leave_the_lock_as_patient_as_it_was(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    threads = [
        threading.Thread(target=feedback, args=(serving, {"transaction_id": "t", "label": 1}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with serving.service.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 15_000


@pytest.mark.parametrize("name", ["a\0b", "\0", "a\nb", "a\x7fb", "a\udc00b", "\ud800"])
def test_an_id_that_no_database_takes_is_refused(steady: Running, name: str) -> None:
    body = b'{"labels": [{"transaction_id": "%s", "label": 1}]}'
    text = "".join(f"\\u{ord(letter):04x}" for letter in name).encode()
    answer = steady.client.post(
        "/feedback",
        content=body % text,
        headers={**steady.bearer(Role.FEEDBACK), "Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "labels.0.transaction_id"


def test_what_is_counted_is_transactions_and_the_last_label_of_each_stands(
    serving: Running,
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    for expected, labels, turned in ((1, (0, 1), {}), (0, (1, 0), {"replaced": 1})):
        answer = feedback(serving, *({"transaction_id": "t", "label": one} for one in labels))
        assert answer.json() == {"stored": 1, "queued": 0, "unknown": []} | turned
        assert labels_of(serving)["t"][0] == expected
    ghosts = feedback(serving, *({"transaction_id": "ghost", "label": one} for one in (0, 1)))
    assert ghosts.json() == {"stored": 0, "queued": 0, "unknown": ["ghost"]}


@pytest.mark.parametrize("spelled", [1, 1.0, True, "1", "1.0", "true", "TRUE", " yes "])
def test_the_usual_spellings_of_a_label_are_taken(serving: Running, spelled: Any) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    label = {"transaction_id": " t ", "label": spelled, "source": "CHARGEBACK"}
    assert feedback(serving, label).json() == {"stored": 1, "queued": 0, "unknown": []}
    assert labels_of(serving) == {"t": (1, "chargeback")}


def test_a_label_may_say_since_when_it_is_known(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    for name in ("label_known_at", "known_at"):
        label = {"transaction_id": "t", "label": 1, name: "2026-01-02T03:04:05Z"}
        assert feedback(serving, label).json()["stored"] == 1
    with serving.service.database.engine.connect() as connection:
        query = "SELECT label_known_at FROM apitransactionlogs"
        assert connection.exec_driver_sql(query).scalar_one() == 1_767_323_045_000_000
    for wrong in (
        "2999-01-01T00:00:00Z",
        "1960-01-01T00:00:00Z",
        "05/01/2026",
        "2026-13-01",
        "soon",
        1767323045,
    ):
        answer = feedback(serving, {"transaction_id": "t", "label": 1, "label_known_at": wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("labels.0.")


@pytest.mark.parametrize(
    ("word", "means"),
    [("churned", 1), (" Churned ", 1), ("STAYED", 0), ("y", 1), ("N", 0), ("good", 0), ("1.00", 1)],
)
def test_a_label_may_be_a_word_of_the_use_case(serving: Running, word: str, means: int) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    answer = feedback(serving, {"transaction_id": "t", "label": word})
    assert answer.json() == {"stored": 1, "queued": 0, "unknown": []}
    assert labels_of(serving)["t"][0] == means


def test_a_word_that_is_none_of_them_is_refused_with_those_that_are(steady: Running) -> None:
    answer = feedback(steady, {"transaction_id": "t", "label": "fraudish"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "labels.0.label"
    assert "fraudish" not in answer.text, "what is sent may be personal"
    assert "churned, stayed" in error["remedy"]


def test_a_date_that_can_be_two_is_refused_with_what_to_write(steady: Running) -> None:
    label = {"transaction_id": "t", "label": 1, "label_known_at": "05/01/2026"}
    [error] = feedback(steady, label).json()["errors"]
    assert error == {
        "field": "labels.0.label_known_at",
        "problem": "day and month cannot be told apart",
        "remedy": "write the year first, like 2026-01-05",
    }


@pytest.mark.parametrize(
    "written",
    ["2026-01-02", "02.01.2026", "20260102", "2 Jan 2026", "02-JAN-26", "2026-01-02 00:00:00"],
)
def test_a_date_as_chargeback_files_have_it_says_since_when_a_label_is_known(
    serving: Running, written: str
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    label = {"transaction_id": "t", "label": 1, "label_known_at": written}
    assert feedback(serving, label).json()["stored"] == 1
    with serving.service.database.engine.connect() as connection:
        query = "SELECT label_known_at FROM apitransactionlogs"
        assert connection.exec_driver_sql(query).scalar_one() == 1_767_312_000_000_000


def test_a_date_without_a_zone_may_be_that_of_a_day_that_began_earlier_elsewhere(
    serving: Running,
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    soon_us = SystemClock().now_us() + 10 * 3_600_000_000
    written = isoformat(soon_us)[:19]
    label = {"transaction_id": "t", "label": 1, "label_known_at": written}
    assert feedback(serving, label).json()["stored"] == 1
    zoned = {**label, "label_known_at": f"{written}Z"}
    assert feedback(serving, zoned).status_code == 422


def test_a_label_that_is_turned_round_is_kept_and_counted_and_an_older_one_is_told(
    serving: Running,
) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    feedback(serving, {"transaction_id": "t", "label": 1, "known_at": "2026-01-05"})
    answer = feedback(serving, {"transaction_id": "t", "label": 0, "known_at": "2026-02-05"})
    assert answer.json() == {"stored": 1, "replaced": 1, "queued": 0, "unknown": []}
    again = feedback(serving, {"transaction_id": "t", "label": 0, "known_at": "2026-02-05"})
    assert again.json() == {"stored": 1, "queued": 0, "unknown": []}
    older = feedback(serving, {"transaction_id": "t", "label": 1, "known_at": "2026-01-05"})
    assert older.json() == {"stored": 1, "outdated": 1, "queued": 0, "unknown": []}
    assert labels_of(serving)["t"][0] == 0
    with serving.service.database.engine.connect() as connection:
        query = "SELECT label, new_label FROM labelchanges"
        assert connection.exec_driver_sql(query).all() == [(1, 0)]
