"""PostgreSQL is away for a minute under load: rows are answered, with the vectors of training.

Each vector that was served is compared with the one that training computes from the stored rows,
once they are all stored: one feature that is not the same makes it differ. Shares of the rows that
were marked as scored without history, and of those that HAProxy sent to the other host than that of
their user, say why.
"""

import random
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Engine, select

from benchmarks.cases import Case
from benchmarks.constant_model import bundle
from benchmarks.hosts_load import CLIENTS, Clients, Sent, row, send_row
from benchmarks.hosts_world import Balancer, Host, address, running_hosts
from benchmarks.journal_load import figures_of
from benchmarks.report import Bar
from benchmarks.serving_world import push
from shared.clock import MICROS_PER_SECOND, SystemClock
from shared.tables.engine import connect
from shared.tables.schema import api_transaction_logs as table
from shared.usecase.serving import HISTORY_UNAVAILABLE
from tests.api.mortal_postgres import MortalPostgres
from usecases import load_learning
from usecases.fraud.features.catalogue import FEATURE_SET
from usecases.fraud.training.quality.features import TOLERANCE

AWAY_SECONDS, AWAY_SECONDS_SHORT = 60.0, 5.0
_AFTER_SECONDS = 8.0
_PATIENCE_SECONDS = 600.0
_DRAIN_SECONDS = 600
# of each client: rows of one user come one after the other, as those of a person do
_USERS = 100
_TOLD = 6


@dataclass(frozen=True, slots=True)
class Outage:
    """Start and end of the outage of the database, in microseconds since 1970."""

    began_us: int
    ended_us: int


class _OwnUsers(Clients):
    """Each client has users of its own, and sends a row of each in turn."""

    def __init__(self, port: int, sent: Sent) -> None:
        super().__init__()
        self._port, self._sent = port, sent

    def send(self, client: int, number: int) -> None:
        user = f"u{client}-{number % _USERS}"
        body = {**row(f"away-{client}-{number}", number), "user_id": user}
        send_row(self._port, body, self._sent)


def run(short: bool, dice: random.Random) -> dict[str, float]:
    del dice
    sent, seconds = Sent(), AWAY_SECONDS_SHORT if short else AWAY_SECONDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(MortalPostgres())
        url = database.server.new_database()
        hosts = stack.enter_context(running_hosts(folder, url, {"JOURNAL_COMMIT": "disk"}))
        for host in hosts:
            host.start_api()
            push(host.url, host.folder / "keys", bundle("1.0.0"))
        outage = _outage(hosts, database, sent, seconds)
        for host in hosts:
            _wait_until_stored(host)
        engine = connect(url)
        stack.callback(engine.dispose)
        compared = _compared(engine)
    return _figures(compared, outage, sent)


def bars(short: bool) -> Mapping[str, Bar]:
    return {
        "away_seconds": (">=", AWAY_SECONDS_SHORT if short else AWAY_SECONDS),
        "away_failed": ("==", 0),
        "away_lost": ("==", 0),
        "away_differing_share": ("<=", 0.005),
    }


def _outage(hosts: list[Host], database: MortalPostgres, sent: Sent, seconds: float) -> Outage:
    """Load before, during and after; the database is killed, not asked."""
    clock = SystemClock()
    with Balancer([address(host) for host in hosts]) as balancer:
        balancer.wait_for(api_1="UP", api_2="UP")
        with _OwnUsers(balancer.port, sent):
            _wait_until_known(sent)
            database.kill()
            began_us = clock.now_us()
            time.sleep(seconds)
            ended_us = clock.now_us()
            database.start()
            time.sleep(_AFTER_SECONDS)
    return Outage(began_us, ended_us)


def _wait_until_known(sent: Sent) -> None:
    """Every user has a row, and so a window: of others, nothing can be read during the outage."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(sent.owners) < CLIENTS * _USERS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(sent.owners)} users were answered")
        time.sleep(0.1)


def _wait_until_stored(host: Host) -> None:
    name = "understudy_journal_backlog"
    host.wait_for(lambda: figures_of(host, name)[name] == 0 or None, _DRAIN_SECONDS)


def _compared(engine: Engine) -> pl.DataFrame:
    """A row for each stored decision: its id, user, instant, and whether it differs."""
    use_case, now_us = load_learning("fraud"), SystemClock().now_us()
    snapshot = use_case.snapshot(engine, now_us)
    matrix = use_case.features(snapshot)
    columns = (
        table.c.transaction_id,
        table.c.user_id,
        table.c.ingested_at,
        table.c.feature_vector,
        table.c.reason_codes,
    )
    query = select(*columns)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    places = {name: place for place, name in enumerate(snapshot["transaction_id"])}
    recomputed = matrix[[places[str(row[0])] for row in rows]]
    served = np.frombuffer(b"".join(bytes(row[3]) for row in rows), dtype="<f4")
    wrong = differing(served.reshape(recomputed.shape), recomputed)
    for place in np.argsort(-wrong.mean(axis=0))[:_TOLD]:
        sys.stderr.write(f"{FEATURE_SET.names[place]} differs in {wrong[:, place].sum()} rows\n")
    return pl.DataFrame(
        {
            "transaction_id": [str(row[0]) for row in rows],
            "user_id": [str(row[1]) for row in rows],
            "at_us": [int(row[2]) for row in rows],
            "differs": wrong.any(axis=1),
            "is_marked": [HISTORY_UNAVAILABLE in str(row[4]) for row in rows],
        }
    )


def differing(
    served: npt.NDArray[np.float32], recomputed: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """The comparison of the data-quality gate: codes of words must be equal."""
    words = [name in FEATURE_SET.categories for name in FEATURE_SET.names]
    tolerance = np.where(words, 0.0, TOLERANCE)
    return ~np.isclose(served, recomputed, rtol=tolerance, atol=tolerance, equal_nan=True)


def _figures(compared: pl.DataFrame, outage: Outage, sent: Sent) -> dict[str, float]:
    at_us = pl.col("at_us")
    during = compared.filter(at_us.is_between(outage.began_us, outage.ended_us))
    before = compared.filter(at_us < outage.began_us)
    after = compared.filter(at_us > outage.ended_us)
    for reason, count in sent.reasons.items():
        sys.stderr.write(f"{count} times {reason}\n")
    return {
        "away_seconds": (outage.ended_us - outage.began_us) / MICROS_PER_SECOND,
        "away_rows": float(len(during)),
        "away_differing_share": _share(during),
        "away_marked_share": _share(during, "is_marked"),
        "away_moved_share": _moved(during, sent),
        "before_differing_share": _share(before),
        "after_differing_share": _share(after),
        "after_marked_share": _share(after, "is_marked"),
        "away_failed": float(sent.failed),
        "away_lost": float(len(sent.rows.answers.keys() - set(compared["transaction_id"]))),
    }


def _moved(rows: pl.DataFrame, sent: Sent) -> float:
    """Share of the rows that another host than that of most rows of their user answered."""
    hosts = pl.Series("host", [sent.hosts.get(name, "") for name in rows["transaction_id"]])
    each = rows.with_columns(hosts).group_by("user_id", "host").len()
    most = each.group_by("user_id").agg(pl.col("len").max())
    return round(1 - int(most["len"].sum()) / len(rows), 5) if len(rows) else float("nan")


def _share(rows: pl.DataFrame, what: str = "differs") -> float:
    return round(int(rows[what].sum()) / len(rows), 5) if len(rows) else float("nan")


CASE = Case("away", run, bars)
