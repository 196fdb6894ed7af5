"""The connections of one process: the bounds of each, and what of theirs is bounded in sum.

The bounds hold before any credentials are checked.
"""

import resource
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.connections import ConnectionPool

KIB = 1024
MIB = 1024 * KIB
# Descriptors reserved for the database, journal, registry, log and child processes.
RESERVED_DESCRIPTORS = 128
# More than any service needs. Some systems allow 10^9, which makes starting children slow.
_MOST_DESCRIPTORS = 65_536
_FEWEST_CONNECTIONS = 8

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the protocol; a request beyond one is refused and its connection closed.

    Attributes:
        head_bytes: request line and headers together.
        headers: how many of them.
        header_bytes: name and value of one.
        address_bytes: path and query.
        framing_bytes: chunk extensions or trailers, between two parts of a body.
        pipelined: requests sent ahead of the answers to earlier ones.
        head_seconds: from connecting, or the first byte, to the end of the headers.
        body_seconds: for any body, and one second more for each `body_bytes_per_second`; no pause
            in it is longer than the former.
        unread_seconds: how long answers may wait for a caller that does not read them.
        linger_seconds: how long a refused caller may take to read why.
        thrown_bytes: what is read from it meanwhile, and thrown away.
        unread_body_bytes: of a body whose request is answered already.
        connections: at once; the one that was silent longest makes room.
        body_buffer_bytes: bodies in memory at once, beyond the first part of each.
        body_part_bytes: that first part; more of a body waits for room.
        unmetered: addresses that read no body before the credentials held.
    """

    head_bytes: int = 32 * KIB
    headers: int = 100
    header_bytes: int = 16 * KIB
    address_bytes: int = 8 * KIB
    framing_bytes: int = 16 * KIB
    pipelined: int = 32
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    body_bytes_per_second: int = 8 * KIB
    unread_seconds: float = 30.0
    linger_seconds: float = 2.0
    thrown_bytes: int = 512 * KIB
    unread_body_bytes: int = 8 * MIB
    connections: int = 1_000
    body_buffer_bytes: int = 64 * MIB
    body_part_bytes: int = 64 * KIB
    unmetered: frozenset[bytes] = frozenset({b"/update_model"})


def connections_possible(wanted: int) -> int:
    """Raise the limit on descriptors as far as allowed; how many connections that leaves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    room = wanted if soft == resource.RLIM_INFINITY else soft - RESERVED_DESCRIPTORS
    possible = min(wanted, max(room, _FEWEST_CONNECTIONS))
    if possible < wanted:
        _log.warning(
            "fewer_connections_than_set",
            connections=possible,
            wanted=wanted,
            remedy="raise the limit on open files (ulimit -n), or lower MAX_CONNECTIONS",
        )
    return possible


class Connections(ConnectionPool):
    """The connections of a process and what of theirs is bounded in sum.

    Attributes:
        body_bytes: of bodies that are read and not answered yet.
    """

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(bounds.connections)
        self.bounds = bounds
        self.body_bytes = 0


class ConnectionMetrics(Collector):
    """Counts of connections, their memory, and refusals, for Prometheus."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        pool = self._pool
        refused = CounterMetricFamily(
            "understudy_connections_refused", "Connections closed by a bound", labels=("reason",)
        )
        for reason, count in list(pool.refused.items()):
            refused.add_metric((reason,), count)
        return (
            GaugeMetricFamily("understudy_connections", "Connections open now", len(pool)),
            GaugeMetricFamily(
                "understudy_connections_limit", "Limit of open connections", pool.bounds.connections
            ),
            GaugeMetricFamily(
                "understudy_body_buffer_bytes",
                "Bytes of request bodies read and not answered yet",
                pool.body_bytes,
            ),
            refused,
        )
