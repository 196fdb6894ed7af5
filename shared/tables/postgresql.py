"""Connections to PostgreSQL: with limits on what they wait for, through a pooler too.

Limits travel as start-up options, which cost nothing later. A pooler that hands server connections
to one transaction after the other (PgBouncer) refuses or ignores these, and forgets prepared
statements: behind one the limits are set in each transaction, and nothing is prepared.
"""

import re
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

import psycopg
import structlog
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from shared.tables.reads import ends_at

IN_EACH_TRANSACTION = "set_in_each_transaction"
"""Under this name a connection through a pooler has its settings."""

_IS_DIRECT = """
SELECT pg_backend_pid(), (SELECT setting FROM pg_settings WHERE name = 'statement_timeout')
"""
_TOO_SLOW = "the database did not answer in time"


class Link(psycopg.Connection[Any]):
    """A connection that gives up when the deadline of its thread is over, and is closed then.

    The server's own limits come first; this one applies when the server or the network hangs.
    """

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        end = ends_at()
        if end is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, max(end - time.monotonic(), 0.001))
        except psycopg.OperationalError as error:
            if type(error).__name__ != "_WaitTimeout":
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(_TOO_SLOW) from error


class Opener:
    """Opens the connections of one engine.

    Attributes:
        is_pooled: the newest connection went through a pooler.
    """

    def __init__(self, limits_ms: Mapping[str, int]) -> None:
        self.is_pooled = False
        self._limits_ms = limits_ms

    def follow(self, engine: Engine) -> None:
        """Open and set up all connections of the engine."""

        @event.listens_for(engine, "do_connect")
        def connect(
            _dialect: object, record: ConnectionPoolEntry, _arguments: object, parameters: Any
        ) -> Link:
            link, settings = _before_the_deadline(lambda: self._open(parameters))
            record.info[IN_EACH_TRANSACTION] = settings
            return link

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            raw = connection.connection.driver_connection
            if connection.info.get(IN_EACH_TRANSACTION) and raw is not None and not raw.autocommit:
                connection.exec_driver_sql(*settings_call(connection.info))

    def _open(self, parameters: Mapping[str, Any]) -> tuple[Link, dict[str, str]]:
        own = dict(parameters)
        asked = str(own.pop("options", ""))
        if not self.is_pooled:
            link = self._direct(own, asked)
            if link is not None:
                return link, {}
        link = Link.connect(**own, prepare_threshold=None)
        if not self.is_pooled:
            structlog.get_logger().info(
                "database_behind_a_pooler", consequence="limits are set in each transaction"
            )
        self.is_pooled = True
        limits = {name: str(value) for name, value in self._limits_ms.items()}
        return link, limits | settings_of(asked)

    def _direct(self, own: Mapping[str, Any], asked: str) -> Link | None:
        """A connection that keeps its options; None: something between does not."""
        limits = [f"-c {name}={value}" for name, value in self._limits_ms.items()]
        try:
            link = Link.connect(**own, options=" ".join([*limits, asked]).strip())
        except psycopg.OperationalError as error:
            if re.search(r"startup parameter|command.line option|\boptions\b", str(error)):
                return None
            raise
        link.autocommit = True
        row = link.execute(_IS_DIRECT).fetchone()
        link.autocommit = False
        wanted = str(
            settings_of(asked).get("statement_timeout", self._limits_ms["statement_timeout"])
        )
        if row is not None and row[0] == link.pgconn.backend_pid and row[1] == wanted:
            return link
        link.close()
        return None


def settings_call(info: Mapping[Any, Any]) -> tuple[str, tuple[str, ...]]:
    """The statement that sets what a connection through a pooler needs in each transaction."""
    settings: Mapping[str, str] = info.get(IN_EACH_TRANSACTION) or {}
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    return f"SELECT {calls}", tuple(text for pair in settings.items() for text in pair)


def settings_of(options: str) -> dict[str, str]:
    """The settings in start-up options such as `-csearch_path=mine --work_mem=8MB`."""
    words = shlex.split(options)
    joined = re.sub(r"(^|\0)-c\0", r"\1-c", "\0".join(words)).split("\0")
    pairs = [re.sub(r"^(-c|--)", "", word).partition("=") for word in joined if word]
    return {name.replace("-", "_"): value for name, equals, value in pairs if equals}


def _before_the_deadline(
    open_: Callable[[], tuple[Link, dict[str, str]]],
) -> tuple[Link, dict[str, str]]:
    """Opening may wait for DNS and networks without a limit; a late thread is abandoned."""
    end = ends_at()
    if end is None:
        return open_()
    opened: Future[tuple[Link, dict[str, str]]] = Future()

    def run() -> None:
        try:
            opened.set_result(open_())
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            opened.set_exception(error)

    threading.Thread(target=run, name="database-connect", daemon=True).start()
    try:
        return opened.result(max(end - time.monotonic(), 0.001))
    except FutureTimeout as error:
        opened.add_done_callback(_close_late)
        raise psycopg.OperationalError(_TOO_SLOW) from error


def _close_late(opened: Future[tuple[Link, dict[str, str]]]) -> None:
    with suppress(Exception):
        opened.result()[0].close()
