"""Hosts that share a store (STORE_URL): what is changed on one is on all, and one push wins.

The store is a folder that all mount (`file://`): to the hosts its conditional writes are those of
a bucket. Every version of the model scores SCORE, or with an odd patch number more.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.hosts_load import Clients, ask, row
from benchmarks.hosts_world import Balancer, Host, address, running_hosts
from benchmarks.report import Bar
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import API_ROLES, Role, ensure_tokens, read_token
from tests.postgres import running_postgres

ROUNDS, ROUNDS_SHORT = 50, 3
OUTAGES, OUTAGES_SHORT = 10, 1
RACES, RACES_SHORT = 500, 5
SWAPS, SWAPS_SHORT = 1_000, 10
PUSHERS = 8
EVERYWHERE_SECONDS, ROLLED_BACK_SECONDS, READY_SECONDS = 3.0, 2.0, 5.0
_PATIENCE_SECONDS = 120.0
_SETTLED_SECONDS = 0.1
# new users after this many rows of each client: otherwise each would get too many rows
_ROWS_OF_USERS = 5_000
# weight of a feature that is never missing: the score identifies the version
_ODD = {"amount": 1e-3}


def _run_everywhere(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    with _serving() as (first, second, _):
        seconds = _everywhere((first, second), ROUNDS_SHORT if short else ROUNDS)
    return {"everywhere_rounds": len(seconds) / 3, "everywhere_seconds": max(seconds)}


def _run_races(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    with _serving() as (first, second, _):
        winners = _races((first, second), RACES_SHORT if short else RACES)
    return {
        "races": float(len(winners)),
        "races_without_one_winner": float(sum(each != 1 for each in winners)),
    }


def _run_third(short: bool, dice: random.Random) -> dict[str, float]:
    """Starts an empty third host: it serves the live version by itself."""
    del short, dice
    with _serving() as (first, _, third):
        began = time.monotonic()
        third.start_api()
        alive = time.monotonic() - began
        _wait(lambda: _version(third) == _version(first))
        return {
            "third_host_start_seconds": alive,
            "third_host_ready_seconds": time.monotonic() - began,
        }


def _run_store_away(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    rounds = OUTAGES_SHORT if short else OUTAGES
    with _serving() as (first, second, _):
        found = [_store_away((first, second)) for _ in range(rounds)]
    return {
        "outages": float(rounds),
        "alone_rolled_back_seconds": max(alone for alone, _ in found),
        "others_after_store_back_seconds": max(back for _, back in found),
    }


def _run_swaps(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    with _serving() as (first, second, _):
        return _swaps((first, second), SWAPS_SHORT if short else SWAPS)


@contextmanager
def _world() -> Iterator[list[Host]]:
    """Three hosts with the same keys and tokens, a store, and a database; none is started."""
    with tempfile.TemporaryDirectory() as name, running_postgres() as server:
        folder = Path(name)
        keys = folder / "keys"
        KeyStore(keys).ensure_signing_key()
        ensure_tokens(keys, API_ROLES)
        settings = {
            "STORE_URL": f"file://{folder / 'store'}",
            "KEYS_DIR": str(keys),
            "CHANGES_PER_MINUTE": "0",
            "JOURNAL_COMMIT": "database",
        }
        with running_hosts(folder, server.new_database(), settings, count=3) as hosts:
            yield hosts


@contextmanager
def _serving() -> Iterator[list[Host]]:
    """Two of three hosts serve version 1.0.0; the third one is not started."""
    with _world() as hosts:
        for host in hosts[:2]:
            host.start_api()
        _pushed(hosts[0], "1.0.0")
        _wait(lambda: _version(hosts[1]) == "1.0.0")
        yield hosts


def _next(version: str) -> str:
    """The version after this one."""
    return f"1.0.{int(version.rpartition('.')[2]) + 1}"


def _bundle(version: str) -> bytes:
    return bundle(version, _ODD if _is_odd(version) else {})


def _is_odd(version: str) -> bool:
    return int(version.rpartition(".")[2]) % 2 == 1


def _push(host: Host, version: str, raw: bytes | None = None) -> int:
    """The status of a push."""
    keys, raw = Path(host.environment["KEYS_DIR"]), raw or _bundle(version)
    headers = {
        "Content-Type": "application/octet-stream",
        "Authorization": f"Bearer {read_token(keys, Role.PUSH)}",
        "X-Bundle-Signature": sign(raw, KeyStore(keys).private_key()),
    }
    answer = httpx.post(f"{host.url}/update_model", content=raw, headers=headers, timeout=180)
    if not answer.is_success and answer.status_code != 409:
        sys.stderr.write(f"{answer.text}\n")
    return answer.status_code


def _pushed(host: Host, version: str) -> None:
    if _push(host, version) != 200:
        raise RuntimeError(f"{version} was refused")


def _roll_back(host: Host, version: str) -> httpx.Response:
    token = read_token(Path(host.environment["KEYS_DIR"]), Role.OPERATOR)
    answer = httpx.post(
        f"{host.url}/rollback_model",
        json={"version": version, "reason": "the rig"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    return answer.raise_for_status()


def _version(host: Host) -> str:
    try:
        answer = httpx.get(f"{host.url}/current_model", timeout=10)
    except httpx.HTTPError:
        return ""
    return str(answer.json()["version"]) if answer.is_success else ""


def _wait(condition: Callable[[], bool]) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > _PATIENCE_SECONDS:
            raise TimeoutError("the hosts do not agree")
        time.sleep(0.02)
    return time.monotonic() - began


def _everywhere(hosts: Sequence[Host], rounds: int) -> list[float]:
    """Seconds from the answer to a push, and to a rollback, until the other host serves it."""
    first, second = hosts
    seconds = []
    for number in range(rounds):
        asked, other = (first, second) if number % 2 else (second, first)
        before = _version(asked)
        pushed = _next(before)
        _pushed(asked, pushed)
        seconds.append(_wait_for(other, pushed))
        _roll_back(other, before)
        seconds.append(_wait_for(asked, before))
        _roll_back(asked, pushed)
        seconds.append(_wait_for(other, pushed))
    return seconds


def _races(hosts: Sequence[Host], rounds: int) -> list[int]:
    """The number of pushers that won each time: all push one version, each with its own content."""
    winners, version = [], _version(hosts[0])
    with ThreadPoolExecutor(PUSHERS) as pool:
        for number in range(rounds):
            version = _next(version)
            raws = [bundle(version, {"amount": 1e-3 + each * 1e-6}) for each in range(PUSHERS)]
            asked = [
                pool.submit(_push, hosts[each % len(hosts)], version, raw)
                for each, raw in enumerate(raws)
            ]
            winners.append(sum(one.result() == 200 for one in asked))
            for host in hosts:
                _wait_for(host, version)
            if number % 20 == 0:
                sys.stderr.write(f"{number + 1} races\n")
    return winners


def _wait_for(host: Host, version: str) -> float:
    """Seconds until the host serves this version."""
    return _wait(lambda: _version(host) == version)


def _store_away(hosts: Sequence[Host]) -> tuple[float, float]:
    """Seconds of a rollback on the asked host while the store is gone, and on the other after it.

    The second clock starts when the store is there again.
    """
    first, second = hosts
    live = _version(first)
    newer = _next(live)
    _pushed(first, newer)
    _wait_for(second, newer)
    store = Path(first.environment["STORE_URL"].removeprefix("file://"))
    aside = store.with_name("away")
    store.rename(aside)
    # a file where the folder was: none can be made in its place
    store.write_text("")
    began = time.monotonic()
    owed = _roll_back(first, live).json()["owed"]
    alone = time.monotonic() - began if owed and _version(first) == live else float("inf")
    store.unlink()
    aside.rename(store)
    back = _wait_for(second, live)
    # the version that was left is not pushed a second time: the next round goes on from it
    _roll_back(second, newer)
    _wait_for(first, newer)
    return alone, back


@dataclass
class Swap:
    """A version that was asked for, and when all hosts were seen to serve it."""

    version: str
    everywhere_at: float = float("inf")


class _Watch(Clients):
    """Clients of the balancer that look whether each answer is of a version that it may be of."""

    def __init__(self, port: int, first: str) -> None:
        super().__init__()
        self.failed = self.torn = self.stale = self.answered = 0
        self._port = port
        self.swaps = [Swap(first, 0.0)]

    def send(self, client: int, number: int) -> None:
        sent_at = time.monotonic()
        users = f"s{number // _ROWS_OF_USERS}-u"
        status, _, content = ask(self._port, row(f"s{client}-{number}", number, users))
        if status != 200:
            self.failed += 1
            sys.stderr.write(f"{status} {content[:200]!r}\n")
            return
        self.answered += 1
        told = orjson.loads(content)
        amount = float(number % 90)
        expected = 0.125 + (amount * 1e-3 if _is_odd(told["version"]) else 0.0)
        self.torn += abs(told["probability"] - expected) > 1e-4
        self.stale += told["version"] not in possible_versions(list(self.swaps), sent_at)


def possible_versions(swaps: Sequence[Swap], sent_at: float) -> set[str]:
    """The version of all hosts when a row was sent, and those asked for since."""
    found = set()
    for swap in reversed(swaps):
        found.add(swap.version)
        if swap.everywhere_at <= sent_at:
            break
    return found


def _swaps(hosts: Sequence[Host], count: int) -> dict[str, float]:
    """Two versions take turns under load, asked for on either host."""
    older = _next(_version(hosts[0]))
    pair = [older, _next(older)]
    for version in pair:
        _pushed(hosts[0], version)
    for host in hosts:
        _wait_for(host, pair[1])
    with Balancer([address(host) for host in hosts]) as balancer:
        balancer.wait_for(api_1="UP", api_2="UP")
        with _Watch(balancer.port, pair[1]) as watch:
            for number in range(count):
                wanted = pair[number % 2]
                watch.swaps.append(swap := Swap(wanted))
                _roll_back(hosts[number % len(hosts)], wanted)
                for host in hosts:
                    _wait_for(host, wanted)
                swap.everywhere_at = time.monotonic()
                # in which every answer is of this version
                time.sleep(_SETTLED_SECONDS)
                if number % 50 == 0:
                    sys.stderr.write(f"{number + 1} swaps\n")
    return {
        "swaps": float(count),
        "swaps_rows": float(watch.answered),
        "swaps_failed": float(watch.failed),
        "swaps_torn": float(watch.torn),
        "swaps_stale": float(watch.stale),
    }


def _bars(name: str, most: int, few: int, **others: Bar) -> Callable[[bool], Mapping[str, Bar]]:
    """Bars of a case that counts what it did under this name."""
    return lambda short: {name: (">=", few if short else most), **others}


EVERYWHERE = Case(
    "everywhere",
    _run_everywhere,
    _bars("everywhere_rounds", ROUNDS, ROUNDS_SHORT, everywhere_seconds=("<=", EVERYWHERE_SECONDS)),
)
RACES_CASE = Case(
    "races",
    _run_races,
    _bars("races", RACES, RACES_SHORT, races_without_one_winner=("==", 0)),
)
THIRD = Case(
    "third", _run_third, lambda _short: {"third_host_ready_seconds": ("<=", READY_SECONDS)}
)
STORE_AWAY = Case(
    "store-away",
    _run_store_away,
    _bars(
        "outages",
        OUTAGES,
        OUTAGES_SHORT,
        alone_rolled_back_seconds=("<=", ROLLED_BACK_SECONDS),
        others_after_store_back_seconds=("<=", EVERYWHERE_SECONDS),
    ),
)
SWAPS_CASE = Case(
    "swaps",
    _run_swaps,
    _bars(
        "swaps",
        SWAPS,
        SWAPS_SHORT,
        swaps_failed=("==", 0),
        swaps_torn=("==", 0),
        swaps_stale=("==", 0),
    ),
)
CASES = (EVERYWHERE, RACES_CASE, THIRD, STORE_AWAY, SWAPS_CASE)
