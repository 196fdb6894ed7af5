"""Parts of the rigs of several hosts whose faults would make their figures look good."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from benchmarks.chaos_hosts import Link
from benchmarks.hosts_outage import differing
from benchmarks.hosts_store import Swap, possible_versions
from usecases.fraud.features.catalogue import FEATURE_SET

SILENCE_SECONDS = 0.3


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while content := connection.recv(100):
                connection.sendall(content)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def said(port: int, seconds: float = 20) -> bytes | None:
    """The echo of a word; None: the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(b"word")
        try:
            return connection.recv(100) or None
        except ConnectionError:
            return None


def test_a_link_passes_nothing_while_it_is_cut_and_all_once_it_is_mended(echo_port: int) -> None:
    link = Link("127.0.0.1", echo_port)
    assert said(link.port) == b"word"
    link.cut(silent=False)
    assert said(link.port) is None
    link.mend()
    assert said(link.port) == b"word"
    link.cut(silent=True)
    with pytest.raises(TimeoutError):
        said(link.port, SILENCE_SECONDS)
    link.mend()
    assert said(link.port) == b"word"
    link.close()


def test_a_link_that_is_cut_ends_connections_that_are_open(echo_port: int) -> None:
    link = Link("127.0.0.1", echo_port)
    with socket.create_connection(("127.0.0.1", link.port), timeout=20) as connection:
        connection.sendall(b"word")
        assert connection.recv(100) == b"word"
        link.cut(silent=True)
        assert connection.recv(100) == b""
    link.close()


def test_an_answer_may_be_of_the_version_of_all_hosts_or_one_asked_for_since() -> None:
    before = time.monotonic()
    swaps = [Swap("1.0.0", 0.0), Swap("1.0.1", before - 5), Swap("1.0.2")]
    assert possible_versions(swaps, before) == {"1.0.1", "1.0.2"}
    assert possible_versions(swaps, before - 10) == {"1.0.0", "1.0.1", "1.0.2"}
    swaps[-1].everywhere_at = before - 1
    assert possible_versions(swaps, before) == {"1.0.2"}


def test_a_vector_differs_by_more_than_rounding_and_codes_by_anything() -> None:
    recomputed = np.ones((3, len(FEATURE_SET.names)), dtype=np.float32)
    recomputed[:, FEATURE_SET.names.index("cnt_24h")] = np.nan
    served = recomputed.copy()
    served[1, FEATURE_SET.names.index("amount")] += 1e-4
    served[2, FEATURE_SET.names.index("cnt_24h")] = 0
    assert differing(served, recomputed).any(axis=1).tolist() == [False, False, True]
