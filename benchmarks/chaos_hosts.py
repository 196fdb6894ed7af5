"""The hosts of two schedulers: a disk each, and a link each to a real bucket, which may be cut."""

import random
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.scheduler.accepting_api import AcceptingApi
from tests.support.seaweedfs import S3Server, running_s3

_PAUSE_SECONDS, _CUT_SECONDS = (4.0, 20.0), (2.0, 12.0)
_STORE_TIMEOUT_SECONDS = 1
_CHUNK = 65_536


class Link:
    """A TCP relay to an address: while it is cut, connections are refused or nothing passes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        # taken while it was cut in silence
        self._unanswered: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_cut = self._is_silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, silent: bool) -> None:
        """End all connections; `silent`: new ones are taken, and never answered."""
        with self._lock:
            self._is_cut, self._is_silent = True, silent
        self._end_all()

    def mend(self) -> None:
        """Let bytes pass again; connections that were never answered end."""
        with self._lock:
            self._is_cut = False
        self._end_all()

    def close(self) -> None:
        self.cut(silent=False)
        self._listener.close()

    def _end_all(self) -> None:
        with self._lock:
            connections, unanswered = tuple(self._open), tuple(self._unanswered)
            self._unanswered.clear()
        for each in connections:
            _end(each)
        for each in unanswered:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self._join(caller)

    def _join(self, caller: socket.socket) -> None:
        with self._lock:
            is_cut, is_silent = self._is_cut, self._is_silent
            if not is_cut:
                self._open.add(caller)
            elif is_silent:
                self._unanswered.add(caller)
        if is_cut:
            if not is_silent:
                caller.close()
            return
        try:
            target = socket.create_connection(self._target, timeout=10)
        except OSError:
            self._forget(caller)
            return
        target.settimeout(None)
        with self._lock:
            self._open.add(target)
        for ends in ((caller, target), (target, caller)):
            threading.Thread(target=self._relay, args=ends, daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                sink.sendall(chunk)
        for each in (source, sink):
            _end(each)
        self._forget(source)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class SeparateHosts:
    """Settings of schedulers with nothing in common but the database, the keys and the bucket.

    Partitions come at random: one host or both lose the bucket, and in half of them the API does
    not give the champion's bytes either, so that nothing can be compared there.
    """

    def __init__(
        self, folder: Path, server: S3Server, api: AcceptingApi, names: Sequence[str]
    ) -> None:
        self._folder, self._api = folder, api
        self._store = {name.upper(): str(value) for name, value in server.settings().items()}
        place = urlsplit(server.endpoint)
        self._links = {name: Link(str(place.hostname), int(place.port or 0)) for name in names}
        self.partitions = self.without_champion = 0
        self._is_cut = False
        self._next = time.monotonic() + _PAUSE_SECONDS[0]

    def settings(self, name: str) -> dict[str, str]:
        """Variables of one scheduler, as on a host of its own."""
        folders = {"RETRAINED_MODELS_DIR": "candidates", "TEST_DATA_DIR": "held_out",
                   "WORK_DIR": "work"}  # fmt: skip
        own = {variable: str(self._folder / name / kind) for variable, kind in folders.items()}
        return {
            **self._store,
            "STORE_ENDPOINT": f"http://127.0.0.1:{self._links[name].port}",
            "STORE_TIMEOUT_SECONDS": str(_STORE_TIMEOUT_SECONDS),
            **own,
        }

    def look(self, dice: random.Random) -> None:
        """Begin or end a partition when its time has come."""
        if time.monotonic() < self._next:
            return
        if self._is_cut:
            self.mend()
            self._next = time.monotonic() + dice.uniform(*_PAUSE_SECONDS)
            return
        names = sorted(self._links)
        for name in dice.choice([names, *([one] for one in names)]):
            self._links[name].cut(silent=dice.random() < 0.5)
        self._api.gives_bundles = dice.random() < 0.5
        self.partitions += 1
        self.without_champion += not self._api.gives_bundles
        self._is_cut = True
        self._next = time.monotonic() + dice.uniform(*_CUT_SECONDS)

    def mend(self) -> None:
        for link in self._links.values():
            link.mend()
        self._api.gives_bundles = True
        self._is_cut = False

    def close(self) -> None:
        for link in self._links.values():
            link.close()


@contextmanager
def separate_hosts(
    folder: Path, api: AcceptingApi, names: Sequence[str]
) -> Iterator[SeparateHosts]:
    """These hosts around a bucket of their own; both are gone when the block ends."""
    with ExitStack() as stack:
        hosts = SeparateHosts(folder, stack.enter_context(running_s3()), api, names)
        stack.callback(hosts.close)
        sys.stderr.write("  a bucket is up\n")
        yield hosts
