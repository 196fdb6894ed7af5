"""A batch in slices: others get their turns in between, and each slice stands for itself."""

import asyncio
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import orjson

from api.http.callers import Caller, anonymous
from api.scoring.lane import ScoringLane
from api.scoring.requests import BatchParser
from api.scoring.routes import batch_work
from api.scoring.work import SLICE_ROWS, Batch
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.faulty import FAILS, WORKS, error_model
from tests.api.server import Running
from tests.api.tiny import count_rows

SOMEBODY: Caller = anonymous(Role.SCORER, is_trusted=True)
LARGE = 100_000


def body_of(rows: list[dict[str, Any]]) -> bytes:
    return json.dumps({"instances": rows}, separators=(",", ":")).encode()


def batch_of(server: Running, rows: list[dict[str, Any]]) -> Batch:
    service = server.service
    parse = BatchParser(service.use_case.request_model, LARGE)
    return Batch(
        service.scoring.pipeline, parse(body_of(rows)), service.use_case.routes[0], SOMEBODY
    )


def test_a_large_batch_lets_the_event_loop_turn_after_each_slice(serving: Running) -> None:
    service = serving.service
    work = batch_work(service, service.use_case.routes[0])
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> bytes:
        counting = asyncio.create_task(count())
        reply = await work.paced(body_of([{"amount": float(n)} for n in range(1_000)]), SOMEBODY)
        counting.cancel()
        return reply.body

    predictions = orjson.loads(asyncio.run(both()))["predictions"]
    assert [row["probability"] for row in predictions] == [n / 2 for n in range(1_000)]
    assert turns >= 1_000 // SLICE_ROWS


def test_of_many_batches_one_slice_is_scored_at_each_turn(serving: Running) -> None:
    lane = ScoringLane(serving.service.models.slot)
    pieces: list[int] = []
    seen: list[int] = []

    async def watch() -> None:
        while len(pieces) < 30:
            seen.append(len(pieces))
            await asyncio.sleep(0)

    async def caller(number: int) -> None:
        for _ in range(3):
            await lane.run(lambda: pieces.append(number))

    async def all_of_them() -> None:
        await asyncio.gather(watch(), *map(caller, range(10)))

    asyncio.run(all_of_them())
    assert max(after - before for before, after in itertools.pairwise(seen)) == 1
    # round and round, not one after the other
    assert sorted(pieces[:10]) == list(range(10))


def test_a_swap_in_the_middle_of_a_batch_leaves_it_to_the_version_that_began_it(
    serving: Running,
) -> None:
    models = serving.service.models.slot
    batch = batch_of(serving, [{"amount": 1.0}] * 10)
    batch.answer_slice(4)
    assert models.live is not None
    other = replace(models.live.served, version="9.9.9")
    models.assign(replace(models.live, served=other), models.live)
    while batch.left:
        batch.answer_slice(4)
    answer = orjson.loads(batch.reply().body)
    assert {row["version"] for row in answer["predictions"]} == {answer["version"]} == {"1.0.0"}


def test_a_slice_that_no_version_can_score_gets_its_own_errors_and_the_others_count(
    running: Running, signer: Signer
) -> None:
    pushed = running.push(signer.bundle("1.0.0", {"model.onnx": error_model("1.0.0")}), signer)
    assert pushed.status_code == 200
    batch = batch_of(running, [{"amount": WORKS}] * 3 + [{"amount": FAILS}] + [{"amount": WORKS}])
    for _ in range(3):
        batch.answer_slice(2)
    first, second, third, fourth, last = orjson.loads(batch.reply().body)["predictions"]
    assert first["probability"] == second["probability"] == last["probability"]
    assert [row["index"] for row in (third, fourth)] == [2, 3]
    assert (
        third["error"]["type"]
        == fourth["error"]["type"]
        == ("urn:understudy:problem:scoring-failed")
    )
    running.drained()
    assert count_rows(running.service.database.engine) == 3


def test_an_id_that_comes_again_in_a_later_slice_is_answered_as_before(serving: Running) -> None:
    row = {"amount": 1.0, "transaction_id": "t"}
    batch = batch_of(serving, [row, row, {**row, "amount": 2.0}])
    while batch.left:
        batch.answer_slice(1)
    first, second, other = orjson.loads(batch.reply().body)["predictions"]
    assert first == second
    assert other["error"]["type"] == "urn:understudy:problem:idempotency-conflict"


def test_odd_rows_are_told_alike_in_small_and_large_batches(serving: Running) -> None:
    odd: list[Any] = [
        {"amount": 1},
        {"amount": -1},
        {"amount": "1"},
        {"amount": 1, "unknown": 1},
        {"amount": 10**30},
        {"amount": 0.1, "event_time": "2024-02-29T12:00:00.123456+02:00"},
        {"amount": 1, "event_time": "yesterday"},
        {},
        None,
        [1],
    ]
    service = serving.service
    parse = BatchParser(service.use_case.request_model, LARGE)
    filled = [*odd, *({"amount": 1, "user_id": "u" * 100} for _ in range(1_000))]
    for text in (b"NaN", b"1e999", b"-0.0", b"12345678901234567890123"):
        body = body_of(filled).replace(b'{"amount":1}', b'{"amount":%s}' % text, 1)
        small = parse(body_of(filled[:10]).replace(b'{"amount":1}', b'{"amount":%s}' % text, 1))
        wanted, found = small.take(10), parse(body).take(10)
        assert [str(one) for one in found] == [str(one) for one in wanted]


def test_a_large_batch_and_single_rows_of_a_user_see_each_other_once(serving: Running) -> None:
    def batches() -> list[int]:
        rows = [{"amount": 1.0, "user_id": "u"}] * 400
        with httpx.Client(base_url=serving.url, timeout=60) as client:
            told = client.post("/score/batch", json={"instances": rows}).json()["predictions"]
        return [row["seen_before"] for row in told]

    def singles() -> list[int]:
        with httpx.Client(base_url=serving.url, timeout=60) as client:
            row = {"amount": 1.0, "user_id": "u"}
            return [client.post("/score", json=row).json()["seen_before"] for _ in range(50)]

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(batches), pool.submit(singles)]
        seen = sorted(count for one in asked for count in one.result())
    assert seen == list(range(450))
