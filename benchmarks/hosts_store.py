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
from pathlib import Path

import httpx
import orjson

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.hosts_load import Clients, ask, row
from benchmarks.hosts_world import Balancer, Host, address, running_hosts
from benchmarks.report import Bar
from shared.keys.signing import sign
from shared.keys.store import KeyStore
from shared.keys.tokens import API_ROLES, Role, ensure_tokens, read_token
from tests.postgres import running_postgres

ROUNDS, ROUNDS_SHORT = 50, 3
RACES, RACES_SHORT = 500, 5
SWAPS, SWAPS_SHORT = 1_000, 10
PUSHERS = 8
EVERYWHERE_SECONDS, ROLLED_BACK_SECONDS, READY_SECONDS = 3.0, 2.0, 5.0
_PATIENCE_SECONDS = 120.0
# a feature that is never unknown: the score says which version made it
_ODD = {"amount": 1e-3}


def run(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    with _world() as (hosts, folder):
        first, second, third = hosts
        for host in (first, second):
            host.start_api()
        versions = _Versions()
        _push(first, versions.next())
        _wait(lambda: _version(second) == versions.newest)
        everywhere = _everywhere((first, second), versions, ROUNDS_SHORT if short else ROUNDS)
        races = _races((first, second), versions, RACES_SHORT if short else RACES)
        figures = {
            "everywhere_seconds": max(everywhere),
            "races": float(len(races)),
            "races_without_one_winner": float(sum(winners != 1 for winners in races)),
            "third_host_ready_seconds": _third(third, versions),
        }
        figures |= _store_away((first, second), folder)
        return figures | _swaps((first, second), versions, SWAPS_SHORT if short else SWAPS)


def bars(short: bool) -> Mapping[str, Bar]:
    return {
        "everywhere_seconds": ("<=", EVERYWHERE_SECONDS),
        "races": (">=", RACES_SHORT if short else RACES),
        "races_without_one_winner": ("==", 0),
        "third_host_ready_seconds": ("<=", READY_SECONDS),
        "alone_rolled_back_seconds": ("<=", ROLLED_BACK_SECONDS),
        "others_after_store_back_seconds": ("<=", EVERYWHERE_SECONDS),
        "swaps": (">=", SWAPS_SHORT if short else SWAPS),
        "swaps_failed": ("==", 0),
        "swaps_torn": ("==", 0),
        "swaps_stale": ("==", 0),
    }


@contextmanager
def _world() -> Iterator[tuple[list[Host], Path]]:
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
            yield hosts, folder


class _Versions:
    """Versions in their order, each pushed once."""

    def __init__(self) -> None:
        self._patch = -1

    @property
    def newest(self) -> str:
        return f"1.0.{self._patch}"

    def next(self) -> str:
        self._patch += 1
        return self.newest


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
    answer = httpx.post(f"{host.url}/update_model", content=raw, headers=headers, timeout=60)
    if not answer.is_success and answer.status_code != 409:
        sys.stderr.write(f"{answer.text}\n")
    return answer.status_code


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


def _everywhere(hosts: Sequence[Host], versions: _Versions, rounds: int) -> list[float]:
    """Seconds from the answer to a push, and to a rollback, until the other host serves it."""
    first, second = hosts
    seconds = []
    for number in range(rounds):
        asked, other = (first, second) if number % 2 else (second, first)
        before, pushed = versions.newest, versions.next()
        if _push(asked, pushed) != 200:
            raise RuntimeError(f"{pushed} was refused")
        seconds.append(_wait(lambda host=other, name=pushed: _version(host) == name))  # type: ignore[misc]
        _roll_back(other, before)
        seconds.append(_wait(lambda host=asked, name=before: _version(host) == name))  # type: ignore[misc]
        _roll_back(asked, pushed)
        seconds.append(_wait(lambda host=other, name=pushed: _version(host) == name))  # type: ignore[misc]
    return seconds


def _races(hosts: Sequence[Host], versions: _Versions, rounds: int) -> list[int]:
    """The number of pushers that won each time: all push one version, each with its own content."""
    winners = []
    with ThreadPoolExecutor(PUSHERS) as pool:
        for _ in range(rounds):
            version = versions.next()
            raws = [bundle(version, {"amount": 1e-3 + each * 1e-6}) for each in range(PUSHERS)]
            asked = [
                pool.submit(_push, hosts[each % len(hosts)], version, raw)
                for each, raw in enumerate(raws)
            ]
            winners.append(sum(one.result() == 200 for one in asked))
            _wait(lambda name=version: all(_version(host) == name for host in hosts))  # type: ignore[misc]
    return winners


def _third(host: Host, versions: _Versions) -> float:
    """Seconds from the first sign of life of an empty host until it serves the live version."""
    host.start_api()
    return _wait(lambda: _version(host) == versions.newest)


def _store_away(hosts: Sequence[Host], folder: Path) -> dict[str, float]:
    """The store is gone: the asked host rolls back at once, the others once it is there again."""
    first, second = hosts
    live = _version(first)
    _push(first, next_ := f"1.0.{int(live.rpartition('.')[2]) + 1}")
    _wait(lambda: _version(second) == next_)
    (folder / "store").rename(folder / "away")
    # a file where the folder was: none can be made in its place
    (folder / "store").write_text("")
    began = time.monotonic()
    owed = _roll_back(first, live).json()["owed"]
    alone = time.monotonic() - began if owed and _version(first) == live else float("inf")
    (folder / "store").unlink()
    (folder / "away").rename(folder / "store")
    back = _wait(lambda: _version(second) == live)
    return {"alone_rolled_back_seconds": alone, "others_after_store_back_seconds": back}


class _Watch(Clients):
    """Clients of the balancer that look whether each answer is of a version that it may be of."""

    def __init__(self, port: int, first: str) -> None:
        super().__init__()
        self.failed = self.torn = self.stale = 0
        self._port = port
        # versions and when each was asked for
        self.swaps: list[tuple[float, str]] = [(0.0, first)]

    def send(self, client: int, number: int) -> None:
        sent_at = time.monotonic()
        status, _, content = ask(self._port, row(f"s{client}-{number}", number))
        if status != 200:
            self.failed += 1
            sys.stderr.write(f"{status} {content[:200]!r}\n")
            return
        told = orjson.loads(content)
        amount = float(number % 90)
        expected = 0.125 + (amount * 1e-3 if _is_odd(told["version"]) else 0.0)
        self.torn += abs(told["probability"] - expected) > 1e-4
        self.stale += told["version"] not in self._possible(sent_at)

    def _possible(self, sent_at: float) -> set[str]:
        """Versions live on some host since the request was sent."""
        since = sent_at - EVERYWHERE_SECONDS
        swaps = list(self.swaps)
        before = [name for at, name in swaps if at <= since]
        return {name for at, name in swaps if at > since} | set(before[-1:])


def _swaps(hosts: Sequence[Host], versions: _Versions, count: int) -> dict[str, float]:
    """Two versions take turns under load, asked for on either host."""
    del versions
    live = _version(hosts[0])
    newest = f"1.0.{int(live.rpartition('.')[2]) + 2}"
    pair = [newest, f"1.0.{int(newest.rpartition('.')[2]) + 1}"]
    for version in pair:
        if _push(hosts[0], version) != 200:
            raise RuntimeError(f"{version} was refused")
    _wait(lambda: all(_version(host) == pair[1] for host in hosts))
    with Balancer([address(host) for host in hosts]) as balancer:
        balancer.wait_for(api_1="UP", api_2="UP")
        with _Watch(balancer.port, pair[1]) as watch:
            for number in range(count):
                wanted = pair[number % 2]
                watch.swaps.append((time.monotonic(), wanted))
                _roll_back(hosts[number % len(hosts)], wanted)
                _wait(lambda name=wanted: all(_version(host) == name for host in hosts))  # type: ignore[misc]
    return {
        "swaps": float(count),
        "swaps_failed": float(watch.failed),
        "swaps_torn": float(watch.torn),
        "swaps_stale": float(watch.stale),
    }


CASE = Case("store", run, bars)
