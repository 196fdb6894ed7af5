"""The world of `benchmarks.serving`: a model fitted on a simulated past, users with history."""

import json
import pickle
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.scoring import ask_about, bundle_of, simulated_examples
from shared.bundle.archive import pack
from shared.clock import MICROS_PER_DAY
from shared.keys.store import KeyStore, sign
from shared.keys.tokens import Role, read_token
from shared.tables.writer import write_history_records
from usecases.fraud.training.candidate import fit_components, train_candidate

ROWS_PER_USER = 60
MERCHANTS = 10_000
_COLUMNS = (
    "transaction_id", "user_id", "event_time", "ingested_at", "amount", "currency", "merchant_id",
    "transaction_type", "merchant_category", "country", "lat", "lon", "device_id",
    "utc_offset_min", "label", "label_known_at", "label_source",
)  # fmt: skip


def make_models(folder: Path) -> None:
    """`bundle.zip` for the service and `models.pickle` for the tutorial: the same models."""
    examples = simulated_examples()
    ask = ask_about(examples)
    bundle = bundle_of(train_candidate(ask, _silent), ask)
    (folder / "bundle.zip").write_bytes(pack(bundle.manifest, bundle.files))
    with threadpool_limits(1):
        fitted = fit_components(ask, _silent)
    features = {
        name: [float(value)]
        for name, value in zip(ask.feature_names, examples.later[0], strict=True)
    }
    with (folder / "models.pickle").open("wb") as file:
        pickle.dump((fitted, features), file)


def push(url: str, keys: Path, raw: bytes) -> None:
    """Push a bundle as the scheduler would."""
    store = KeyStore(keys)
    store.ensure_signing_key()
    headers = {
        "Content-Type": "application/octet-stream",
        "Authorization": f"Bearer {read_token(keys, Role.PUSH)}",
        "X-Bundle-Signature": sign(raw, store.private_key()),
    }
    httpx.post(f"{url}/update_model", content=raw, headers=headers, timeout=60).raise_for_status()


def write_users(engine: Engine, now_us: int, users: int) -> None:
    """ROWS_PER_USER rows of each user, spread over the last 30 days."""
    draw = random.Random(3)
    rows = _rows(draw, now_us, users)
    with engine.begin() as connection:
        while chunk := list(islice(rows, 50_000)):
            write_history_records(connection, _COLUMNS, chunk)


def _rows(draw: random.Random, now_us: int, users: int) -> Iterator[tuple[Any, ...]]:
    for user in range(users):
        for number in range(ROWS_PER_USER):
            at_us = now_us - draw.randrange(MICROS_PER_DAY // 100, 30 * MICROS_PER_DAY)
            known_us = min(at_us + 7 * MICROS_PER_DAY, now_us)
            amount = round(draw.gammavariate(2, 40), 2)
            what = ("EUR", f"m{draw.randrange(MERCHANTS)}", "purchase", "groceries")
            where = ("DE", 52.5, 13.4, f"d{user}", 60)
            name = f"h{user}-{number}"
            yield (name, f"u{user}", at_us, at_us, amount, *what, *where, 0, known_us, "bench")


def write_bodies(path: Path, users: range) -> Path:
    """One full body a line, a user each; @ID stands for the transaction's id."""
    draw = random.Random(5)
    path.write_text("".join(json.dumps(_body(draw, user)) + "\n" for user in users))
    return path


def _body(draw: random.Random, user: int) -> dict[str, Any]:
    return {
        "transaction_id": "@ID",
        "user_id": f"u{user}",
        "amount": round(draw.gammavariate(2, 40), 2),
        "currency": "EUR",
        "merchant_id": f"m{draw.randrange(MERCHANTS)}",
        "merchant_category": "groceries",
        "transaction_type": "purchase",
        "channel": "online",
        "country": "DE",
        "lat": 52.52,
        "lon": 13.41,
        "home_lat": 52.4,
        "home_lon": 13.06,
        "device_id": f"d{user}",
        "utc_offset_min": 60,
    }


def _silent(_what: str, _share: float) -> None:
    """An observer without effect."""
