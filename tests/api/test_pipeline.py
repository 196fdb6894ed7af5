"""One pipeline for every path: the same stages, one ingestion time, nothing kept of what failed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from api.http.callers import anonymous
from api.scoring.model_router import Isolation
from api.scoring.stages import Accepted, Received, Reply
from api.scoring.user_locks import RowReservation
from api.settings import Settings
from shared.keys.tokens import Role
from shared.transaction import Transaction
from tests.api.server import Running
from tests.api.tiny import TinySource, TinyUseCase, count_rows, stored_rows

SOMEBODY = anonymous(Role.SCORER, is_trusted=True)
# Each is scored once, by the path that its name says.
PATHS = ("fast path", "FastAPI route", "batch")


@dataclass(frozen=True, slots=True)
class CountingUseCase(TinyUseCase):
    """Notes the instant that each request is given."""

    instants: list[int] = field(default_factory=list)

    def to_transaction(self, request: BaseModel, now_us: int) -> Transaction:
        self.instants.append(now_us)
        # not super(): a class with slots is rebuilt by its decorator
        return TinyUseCase.to_transaction(self, request, now_us)


def send(server: Running, path: str, row: dict[str, Any]) -> dict[str, Any]:
    """The answer to a row that takes this path."""
    if path == "batch":
        answer = server.client.post("/score/batch", json={"instances": [row]})
        return dict(answer.json()["predictions"][0])
    # a request that says what it expects does not qualify for the fast path
    headers = {"Expect": "100-continue"} if path == "FastAPI route" else {}
    return dict(server.client.post("/score", json=row, headers=headers).json())


@pytest.fixture(params=["auto", "on"], ids=["on the event loop", "in threads"])
def counting(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Running]:
    changed = settings.model_copy(update={"scoring_in_threads": request.param})
    with Running(changed, CountingUseCase()) as server:
        yield server


def test_each_path_answers_and_stores_the_same(serving: Running) -> None:
    answers = []
    for number, path in enumerate(PATHS):
        row = {"amount": 3.0, "user_id": f"u{number}", "transaction_id": f"t{number}"}
        answers.append(send(serving, path, row) | {"transaction_id": ""})
    assert answers == [answers[0]] * len(PATHS)
    serving.drained()
    own = ("transaction_id", "user_id", "event_time", "ingested_at", "latency_ms")
    stored = [
        {name: value for name, value in row.items() if name not in own}
        for row in stored_rows(serving.service.database.engine)
    ]
    assert stored == [stored[0]] * len(PATHS)


def test_a_row_gets_its_instant_once_and_is_stored_with_it(counting: Running) -> None:
    for number, path in enumerate(PATHS):
        send(counting, path, {"amount": 1.0, "user_id": f"u{number}"})
    counting.drained()
    rows = stored_rows(counting.service.database.engine)
    use_case = counting.service.use_case
    assert isinstance(use_case, CountingUseCase)
    assert [row["ingested_at"] for row in rows] == use_case.instants
    assert [row["event_time"] for row in rows] == use_case.instants


def test_what_a_run_returns_is_in_the_order_of_its_rows(serving: Running) -> None:
    service = serving.service
    route = service.use_case.routes[0]

    def received(**fields: Any) -> Received:
        return Received(service.use_case.request_model(**fields), route, SOMEBODY, 0.0)

    result = service.scoring.pipeline.run(
        [
            received(amount=1.0, transaction_id="a"),
            received(amount=2.0, transaction_id="a"),
            received(amount=3.0),
            received(amount=1.0, transaction_id="a"),
        ],
        isolation=Isolation.PER_ROW,
    )
    first, other, third, again = result.outcomes
    assert isinstance(first, Reply)
    assert not isinstance(other, Reply)
    assert other.kind.code == "idempotency-conflict"
    assert isinstance(third, Reply)
    assert again == first
    serving.drained()
    assert count_rows(service.database.engine) == 2


def test_a_reservation_is_rolled_back_unless_it_is_committed(serving: Running) -> None:
    service = serving.service
    source = service.scoring.source
    assert isinstance(source, TinySource)

    def row(name: str, *, is_quarantined: bool = False) -> Accepted:
        request = service.use_case.request_model(amount=1.0, user_id="u", transaction_id=name)
        transaction = service.use_case.to_transaction(request, service.clock.now_us())
        received = Received(request, service.use_case.routes[0], SOMEBODY, 0.0)
        return Accepted(received, 0, transaction, name, True, is_quarantined)

    with RowReservation(source, None, [row("a"), row("b")]):
        assert set(source.remembered) == {"a", "b"}
    assert set(source.remembered) == set()
    rows = [row("a"), row("q", is_quarantined=True), row("b")]
    with RowReservation(source, None, rows) as reserved:
        # each sees those before it; the quarantined one is seen by no other
        assert reserved.matrix[:, 1].tolist() == [0.0, 2.0, 1.0]
        reserved.commit(without=[rows[0]])
    assert set(source.remembered) == {"b"}
