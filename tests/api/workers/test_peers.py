"""What forwarding is made of: parts of batches, frames, claims."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from api.workers.peers.link import Call, PeerLink
from api.workers.peers.ownership import Claims, Ownership
from api.workers.peers.router import OwnedRows, PartAnswer, merge, split
from api.workers.peers.wire import (
    ALIVE,
    ANSWER,
    CALL,
    Frame,
    FrameError,
    FrameReader,
    encoded,
    listen,
    prepared,
)
from tests.api.tiny import TinyRequest
from usecases.fraud.requests import TransactionRequest

NAMES = st.sampled_from(["a", "b", "c", "d", None])
ROWS = st.one_of(
    st.builds(
        lambda user, name: {
            key: value
            for key, value in (("user_id", user), ("transaction_id", name))
            if value is not None
        },
        NAMES,
        NAMES,
    ),
    st.sampled_from([None, 7, "text", [], {"user_id": 5}, {"transaction_id": {}}]),
)


def scored(part: OwnedRows) -> PartAnswer:
    """Each row as its own answer; one that is not an object has an error, as from a worker."""
    predictions = [
        {"row": row} if isinstance(row, dict) else {"index": at, "error": {"status": 422}}
        for at, row in enumerate(part.rows)
    ]
    body = orjson.dumps({"predictions": predictions, "version": f"1.0.{part.owner}"})
    return PartAnswer(200, b"x: %d\r\n" % part.owner, body)


@given(st.lists(ROWS, min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 4))
def test_what_is_split_and_merged_is_in_its_order(rows: list[Any], total: int, at: int) -> None:
    ownership = Ownership(at % total, total, TransactionRequest)
    parts = split(orjson.dumps({"instances": rows}), ownership, 100)
    assert sorted(place for part in parts for place in part.places) == list(range(len(rows)))
    status, headers, body = merge(parts, [scored(part) for part in parts])
    content = orjson.loads(body)
    assert (status, headers) == (200, b"x: %d\r\n" % parts[0].owner)
    assert content["version"] == f"1.0.{parts[0].owner}"
    for place, (row, found) in enumerate(zip(rows, content["predictions"], strict=True)):
        if isinstance(row, dict):
            assert found == {"row": row}
        else:
            assert found == {"index": place, "error": {"status": 422}}


@given(st.lists(ROWS, min_size=1, max_size=30), st.integers(2, 5))
def test_rows_of_one_id_are_in_one_part_and_rows_of_one_user_too(
    rows: list[Any], total: int
) -> None:
    parts = split(orjson.dumps({"instances": rows}), Ownership(0, total, TransactionRequest), 100)
    part_of: dict[str, int] = {}
    for part in parts:
        for row in part.rows:
            if isinstance(row, dict) and isinstance(row.get("transaction_id"), str):
                assert part_of.setdefault(row["transaction_id"], part.owner) == part.owner
    ownership = Ownership(0, total, TransactionRequest)
    for part in parts:
        for row in part.rows:
            if isinstance(row, dict) and "transaction_id" not in row:
                assert ownership.of(row).number == part.owner


def test_where_one_part_is_refused_its_rows_say_so_and_the_others_are_answered() -> None:
    parts = [OwnedRows(0, [0, 2], [{}, {}]), OwnedRows(1, [1], [{"a": 1}])]
    refused = PartAnswer(503, b"", orjson.dumps({"status": 503}))
    content = orjson.loads(merge(parts, [refused, scored(parts[1])]).body)
    assert content["version"] == "1.0.1"
    assert content["predictions"] == [
        {"index": 0, "error": {"status": 503}},
        {"row": {"a": 1}},
        {"index": 2, "error": {"status": 503}},
    ]
    assert merge(parts, [refused, refused]) == refused


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"instances": 7}', b'{"instances": []}'])
def test_a_batch_that_is_none_is_not_split(body: bytes) -> None:
    assert split(body, Ownership(0, 2, TransactionRequest), 100) == []


def test_rows_that_only_the_validator_can_read_have_their_owners_too() -> None:
    ownership = Ownership(0, 2, TransactionRequest)
    rows = [
        b'{"user_id":"u%d","lat":NaN,"amount":%d,"device_id":null}' % (n, 10 ** (18 + n % 6))
        for n in range(20)
    ]
    parts = split(b'{"instances":[%s]}' % b",".join(rows), ownership, 100)
    assert {part.owner for part in parts} == {0, 1}
    for part in parts:
        sent = from_json(part.body())["instances"]
        for place, row in zip(part.places, sent, strict=True):
            assert ownership.of_body(rows[place]).number == part.owner
            assert str(row) == str(from_json(rows[place]))


def test_every_worker_says_the_same_of_an_owner_and_a_default_user_is_one() -> None:
    bodies = [orjson.dumps({"user_id": f"u{n}"}) for n in range(50)]
    found = [[Ownership(n, 3, TransactionRequest).of_body(body) for body in bodies] for n in (0, 2)]
    assert found[0] == found[1]
    assert {owner.number for owner in found[0]} == {0, 1, 2}
    anonymous = [orjson.dumps({"transaction_id": f"t{n}"}) for n in range(50)]
    default = {Ownership(0, 3, TinyRequest).of_body(body).number for body in anonymous}
    assert len(default) == 1
    for body in (b"{}", b"not json", b"[]", b'{"user_id": 5}'):
        assert Ownership(2, 3, TransactionRequest).of_body(body) == (2, False)


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=400)), max_size=8),
    st.lists(st.integers(1, 60), max_size=40),
)
def test_frames_come_whole_in_pieces_of_any_size(
    said: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(
        encoded(CALL, at, 3, head, body, expires_ns=9) for at, (head, body) in enumerate(said)
    )
    reader = FrameReader()
    found: list[Frame] = []
    for cut in cuts:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    found += reader.feed(stream)
    assert [(frame.call, frame.head, frame.body) for frame in found] == [
        (at, head, body) for at, (head, body) in enumerate(said)
    ]


def test_what_is_no_frame_is_refused() -> None:
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", encoded(9), b"\xff" * 40):
        with pytest.raises(FrameError):
            list(FrameReader().feed(data))
    assert list(FrameReader().feed(encoded(ANSWER)[:-1])) == []


@pytest.fixture
def both(tmp_path: Path) -> tuple[Claims, Claims]:
    found = Claims(tmp_path / "claims", 0), Claims(tmp_path / "claims", 1)
    for claims in found:
        claims.open()
    return found


def test_an_id_belongs_to_whoever_claims_it_first_until_it_is_released(
    both: tuple[Claims, Claims],
) -> None:
    first, second = both
    assert first.claim(["a", "b"]) == set()
    assert first.claim(["a"]) == set()
    assert second.claim(["a", "b", "c"]) == {"a", "b"}
    second.release(["a"])
    assert second.claim(["a"]) == {"a"}
    first.release(["a"])
    assert second.claim(["a"]) == set()
    assert first.claim(["a", "c"]) == {"a", "c"}


def test_of_two_that_claim_at_once_one_gets_each_id(both: tuple[Claims, Claims]) -> None:
    names = [f"t{n}" for n in range(3_000)]
    refused: list[set[str]] = [set(), set()]

    def claim(at: int) -> None:
        for name in names if at else reversed(names):
            refused[at] |= both[at].claim([name])

    threads = [threading.Thread(target=claim, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused[0].isdisjoint(refused[1])
    assert refused[0] | refused[1] == set(names)


def test_a_full_table_forgets_the_oldest_claims_only(both: tuple[Claims, Claims]) -> None:
    first, second = both
    first.claim(f"old{n}" for n in range(400_000))
    recent = [f"new{n}" for n in range(1_000)]
    first.claim(recent)
    assert second.claim(recent) == set(recent)


@dataclass
class Silent(asyncio.Protocol):
    """A worker that takes calls and never answers; a lively one says that it is there."""

    is_lively: bool = False
    dies_after: int = 10
    calls: list[int] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.reader = FrameReader()
        self.transport = transport
        cast(asyncio.Transport, transport).write(encoded(ALIVE))
        if self.is_lively:
            asyncio.get_running_loop().call_later(0.05, self.beat, transport)

    def beat(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(encoded(ALIVE))
        asyncio.get_running_loop().call_later(0.05, self.beat, transport)

    def data_received(self, data: bytes) -> None:
        self.calls += [frame.call for frame in self.reader.feed(data)]
        if len(self.calls) >= self.dies_after:
            self.transport.close()


async def asked(
    path: Path, owner: Silent, seconds: float, *, is_repeatable: bool = True
) -> list[str]:
    """What became of a call within that time; the link waits .2 s for a silent worker."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: owner, sock=listen(path))
    told: list[str] = []
    link = PeerLink(1, path, 0.2, lambda: None)
    link.open(loop)
    link.call(Call(0, b"", b"{}", is_repeatable, lambda *_: None, lambda: told.append("given up")))
    await asyncio.sleep(seconds)
    found = [*told]
    link.close()
    server.close()
    return found


def test_a_worker_that_hangs_is_given_up_and_one_that_is_slow_is_waited_for(tmp_path: Path) -> None:
    assert asyncio.run(asked(tmp_path / "a", Silent(), 2.0)) == ["given up"]
    assert asyncio.run(asked(tmp_path / "b", Silent(is_lively=True), 2.0)) == []


def test_a_call_that_a_worker_dies_of_is_sent_once_more_if_it_may_be_and_not_again(
    tmp_path: Path,
) -> None:
    owner = Silent(dies_after=1)
    assert asyncio.run(asked(tmp_path / "a", owner, 2.0)) == ["given up"]
    assert len(owner.calls) == 2
    owner = Silent(dies_after=1)
    assert asyncio.run(asked(tmp_path / "b", owner, 1.0, is_repeatable=False)) == ["given up"]
    assert len(owner.calls) == 1


async def asked_while_dying(path: Path, owner: Silent) -> list[str]:
    """The socket of a process that is being killed still takes a connection, and nothing more."""
    loop = asyncio.get_running_loop()
    dying = listen(path)
    told: list[str] = []
    link = PeerLink(1, path, 5.0, lambda: None)
    link.open(loop)
    link.call(Call(0, b"", b"{}", True, lambda *_: None, lambda: told.append("given up")))
    await asyncio.sleep(0.2)
    dying.close()
    path.unlink()  # noqa: ASYNC240 - a moment, in a test
    server = await loop.create_unix_server(lambda: owner, sock=listen(path))
    await asyncio.sleep(1.0)
    found = [*told]
    link.close()
    server.close()
    return found


def test_a_call_is_not_sent_into_the_socket_of_a_process_that_is_being_killed(
    tmp_path: Path,
) -> None:
    owner = Silent(is_lively=True)
    assert asyncio.run(asked_while_dying(tmp_path / "a", owner)) == []
    assert len(owner.calls) == 1


def test_a_socket_may_lie_deeper_than_the_kernel_takes_names(tmp_path: Path) -> None:
    folder = prepared(tmp_path / ("deep" * 20) / ("deeper" * 20))
    assert asyncio.run(asked(folder / "peer-1.sock", Silent(is_lively=True), 0.5)) == []
