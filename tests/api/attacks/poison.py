"""Attempts of unauthenticated callers to change other users' histories, and their effects.

Two services begin with the same history and the same clock; one of them is attacked. Then both
are asked the same questions. Poison that took is a feature of an answer that differs, a row or
label that training would read, or a merchant's tile.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
from sqlalchemy import select

import usecases
from api.wiring import build_service
from shared.clock import MICROS_PER_DAY, MICROS_PER_HOUR, isoformat
from shared.keys.tokens import Role
from shared.tables.engine import connect, migrate
from shared.tables.schema import api_transaction_logs, merchant_tiles
from shared.tables.writer import write_history
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings
from usecases.fraud.training.snapshot import read_snapshot

USE_CASE = usecases.load_serving("fraud")
BEGIN_US = 1_767_225_600_000_000
SHOP, VICTIM = "shop", "customer-3"
CUSTOMERS = [f"customer-{n}" for n in range(8)]
_DAYS = 40
_THRESHOLDS = {"review": 0.4, "block": 0.8, "isolation_forest": 0.6, "autoencoder": 0.5}


@dataclass(slots=True)
class WorldClock:
    """Stands still until it is moved."""

    now: int = BEGIN_US

    def now_us(self) -> int:
        return self.now


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who knows names and no token; `headers` are what he sends all the same."""

    client: httpx.Client
    now_us: int
    headers: dict[str, str] = field(default_factory=dict)

    def score(self, *rows: dict[str, Any]) -> list[int]:
        return [self._post("/predict", row) for row in rows]

    def batch(self, rows: Sequence[dict[str, Any]]) -> int:
        return self._post("/predict/batch", {"instances": list(rows)})

    def label(self, ids: Iterable[str]) -> int:
        labels = [{"transaction_id": name, "label": 1} for name in ids]
        return self._post("/feedback", {"labels": labels})

    def at(self, **ago: float) -> str:
        hours = ago.get("days", 0) * 24 + ago.get("hours", 0)
        return isoformat(self.now_us - round(hours * MICROS_PER_HOUR))

    def _post(self, path: str, body: dict[str, Any]) -> int:
        return self.client.post(path, json=body, headers=self.headers).status_code


@dataclass(frozen=True, slots=True)
class Poison:
    """One attack; on a loopback port what is sent as of now counts, and is not an attack there.

    Attributes:
        is_of_now: its rows claim to happen now.
    """

    name: str
    attempt: Callable[[Stranger], object]
    is_of_now: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "_")


def _row(number: int, user: str, merchant: str = SHOP, **more: Any) -> dict[str, Any]:
    row = {"user_id": user, "merchant_id": merchant, "amount": 900.0 + number, **more}
    return {"transaction_id": f"poison-{user}-{merchant}-{number}-{len(more)}", **row}


def _customers_of_a_shop(stranger: Stranger) -> None:
    rows = [
        _row(n, CUSTOMERS[n % len(CUSTOMERS)], event_time=stranger.at(days=9 + n % 20))
        for n in range(200)
    ]
    stranger.score(*rows)
    stranger.label(row["transaction_id"] for row in rows)


def _shop_by_new_customers(stranger: Stranger) -> None:
    rows = [_row(n, f"nobody-{n}", event_time=stranger.at(days=8 + n % 20)) for n in range(200)]
    for begin in range(0, len(rows), 50):
        stranger.batch(rows[begin : begin + 50])
    stranger.label(row["transaction_id"] for row in rows)


def _in_his_name(stranger: Stranger) -> None:
    stranger.score(*(_row(n, VICTIM, f"far-{n}", country="NG") for n in range(60)))


def _in_his_name_at_once(stranger: Stranger) -> None:
    stranger.batch([_row(n, VICTIM, "once", device_id=f"d{n}") for n in range(60)])


def _odd_made_usual(stranger: Stranger) -> None:
    rows = (_row(n, VICTIM, "odd", amount=7_000.0, channel="online") for n in range(28))
    stranger.score(*rows)


def _odd_made_usual_by_days(stranger: Stranger) -> None:
    stranger.score(
        *(
            _row(n, VICTIM, "odd", amount=7_000.0, event_time=stranger.at(days=n + 1))
            for n in range(28)
        )
    )


def _by_the_hour_of_the_day(stranger: Stranger) -> None:
    hours = (n % 24 for n in range(60))
    stranger.score(*(_row(n, VICTIM, transaction_time=hour) for n, hour in enumerate(hours)))


def _of_the_future(stranger: Stranger) -> None:
    stranger.score(*(_row(n, VICTIM, event_time=stranger.at(hours=-2 - n / 4)) for n in range(30)))


def _other_zones(stranger: Stranger) -> None:
    """The same instants as a zone far away writes them."""
    for n in range(20):
        local = stranger.at(days=3, hours=n).replace("Z", "+14:00")
        stranger.score(_row(n, VICTIM, event_time=local))


def _labels_of_what_is_there(stranger: Stranger) -> None:
    stranger.label(f"h-{day}-{customer}" for day in range(_DAYS) for customer in CUSTOMERS)


def _labels_with_made_up_credentials(stranger: Stranger) -> None:
    for value in ("Bearer feedback", "Basic b3BlcmF0b3I6", "Bearer", "feedback"):
        Stranger(stranger.client, stranger.now_us, {"Authorization": value}).label(
            ["h-1-customer-3"]
        )


def _ids_taken_before(stranger: Stranger) -> None:
    """The ids of the questions that will be asked."""
    for customer in CUSTOMERS:
        row = _row(1, customer, "taken")
        stranger.batch([row | {"transaction_id": f"ask-{step}-{customer}"} for step in range(40)])


POISON: tuple[Poison, ...] = (
    Poison("200 backdated rows and labels of a shops customers", _customers_of_a_shop),
    Poison("200 backdated rows and labels of new customers in batches", _shop_by_new_customers),
    Poison("60 rows in the name of a customer", _in_his_name, is_of_now=True),
    Poison("60 rows in the name of a customer in one batch", _in_his_name_at_once, is_of_now=True),
    Poison("28 rows that make an odd payment usual", _odd_made_usual, is_of_now=True),
    Poison("28 backdated rows that make an odd payment usual", _odd_made_usual_by_days),
    Poison("60 rows dated by the hour of the day", _by_the_hour_of_the_day, is_of_now=True),
    Poison("30 rows of the future", _of_the_future),
    Poison("20 backdated rows in the time of another zone", _other_zones),
    Poison("labels of rows that are there", _labels_of_what_is_there),
    Poison("labels with made-up credentials", _labels_with_made_up_credentials),
    Poison("ids that somebody else will send", _ids_taken_before, is_of_now=True),
)

CONTROLS = tuple(POISON[n] for n in (0, 2, 4, 5))
"""With a token these take: so poison is seen where there is some."""


class NoSmokeTest:
    """The bundle of these tests works; a child process that says so takes seconds."""

    def run(self, raw: bytes) -> None: ...


@dataclass(slots=True)
class PairedServices:
    """Two services that know the same, of which one is attacked."""

    attacked: Running
    other: Running
    clock: WorldClock
    step: int = 0

    def effect(self, poison: Poison) -> str | None:
        """The change that an attack caused; None: no change."""
        self._pass_time(1)
        poison.attempt(Stranger(self.attacked.client, self.clock.now))
        self.attacked.drained()
        # hours close, and tiles that hold poison are seen
        self._pass_time(3)
        self.step += 1
        answers = [self._ask(server) for server in (self.attacked, self.other)]
        for kind, mine, theirs in zip(("features", "tiles", "training"), *answers, strict=True):
            if mine != theirs:
                return f"{poison.name}: other {kind}"
        return None

    def _pass_time(self, hours: int) -> None:
        self.clock.now += hours * MICROS_PER_HOUR

    def _ask(self, server: Running) -> tuple[list[bytes], list[Any], list[Any]]:
        """Vectors of an ordinary row of each customer, all tiles, and what training would read."""
        headers = server.bearer(Role.SCORER)
        ids = [f"ask-{self.step}-{customer}" for customer in CUSTOMERS]
        for name, customer in zip(ids, CUSTOMERS, strict=True):
            row = {"transaction_id": name, "user_id": customer, "merchant_id": SHOP, "amount": 42.0}
            answer = server.client.post("/predict", json=row, headers=headers)
            assert answer.status_code == 200, answer.text
        server.drained()
        vectors = select(api_transaction_logs.c.feature_vector).where(
            api_transaction_logs.c.transaction_id.in_(ids)
        )
        tiles = select(merchant_tiles).order_by(*merchant_tiles.primary_key)
        with server.service.database.engine.connect() as connection:
            found = list(connection.scalars(vectors.order_by(api_transaction_logs.c.user_id)))
            counted = [tuple(row) for row in connection.execute(tiles)]
        read = read_snapshot(server.service.database.engine, self.clock.now + MICROS_PER_DAY)
        columns = ("transaction_id", "user_id", "event_time", "amount", "label")
        return found, counted, read.select(columns).sort(pl.all()).rows()


@contextmanager
def paired_services(folder: Path, **settings: Any) -> Iterator[PairedServices]:
    """Both services, serving one model, with the same past."""
    clock = WorldClock()
    with ExitStack() as stack:
        attacked, other = (
            stack.enter_context(_server(folder / name, clock, settings)) for name in ("a", "b")
        )
        yield PairedServices(attacked, other, clock)


@contextmanager
def _server(folder: Path, clock: WorldClock, changes: dict[str, Any]) -> Iterator[Running]:
    settings = serve_settings(
        folder, failed_attempts_per_minute=0, use_case=USE_CASE.name, **changes
    )
    engine = connect(settings.database_url.get_secret_value())
    migrate(engine)
    with engine.begin() as connection:
        write_history(connection, list(_past(clock.now)))
    engine.dispose()
    service = build_service(settings, USE_CASE, clock, NoSmokeTest())
    with Running(settings, service=service) as server:
        signer = Signer(settings.keys_dir)
        raw = signer.bundle(
            "1.0.0",
            use_case=USE_CASE.name,
            components=("classifier", "isolation_forest", "autoencoder"),
            feature_names=USE_CASE.feature_set.names,
            feature_set_version=USE_CASE.feature_set.version,
            thresholds=_THRESHOLDS,
        )
        server.push(raw, signer).raise_for_status()
        yield server


def _past(now_us: int) -> Iterator[dict[str, Any]]:
    """A row a day of each customer at the shop; one in a hundred is known to be bad."""
    dice = np.random.default_rng(7)
    for day in range(_DAYS):
        for customer in CUSTOMERS:
            at_us = now_us - (day + 1) * MICROS_PER_DAY + int(dice.integers(MICROS_PER_DAY // 2))
            known_us = at_us + 7 * MICROS_PER_DAY
            is_known = known_us <= now_us
            yield {
                "transaction_id": f"h-{day}-{customer}",
                "user_id": customer,
                "merchant_id": SHOP,
                "event_time": at_us,
                "ingested_at": at_us,
                "amount": round(float(dice.uniform(10, 80)), 2),
                "currency": "EUR",
                "transaction_type": "purchase",
                "country": "DE",
                "label": int(dice.random() < 0.01) if is_known else None,
                "label_known_at": known_us if is_known else None,
                "label_source": "chargeback" if is_known else None,
            }
