"""Two workers under retries and bursts say what one would say."""

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.settings import Settings
from api.wiring import build_service
from api.workers.worker_context import WorkerContext
from shared.clock import SystemClock
from shared.keys.tokens import Role
from tests.api.bundles import Signer
from tests.api.server import Running, serve_settings, wait_until
from tests.api.shipped import COMPONENTS, THRESHOLDS, USE_CASE
from tests.api.tiny import stored_rows
from tests.api.workers.crew import Crew
from tests.support.api_registries import NoSmoke

pytestmark = pytest.mark.slow

USERS = [f"u{n}" for n in range(5)]
Row = dict[str, Any]


def hammer(crew: Crew, rows: Sequence[Row]) -> dict[str, set[bytes]]:
    """All answers to each id; every request on a separate connection."""
    found: dict[str, set[bytes]] = defaultdict(set)

    def ask(row: Row) -> tuple[str, int, bytes]:
        answer = crew.client.post("/score", json=row)
        return row["transaction_id"], answer.status_code, answer.content

    with ThreadPoolExecutor(6) as clients:
        for name, status, content in clients.map(ask, rows):
            assert status == 200, content
            found[name].add(content)
    return found


def test_of_two_processes_an_id_has_one_answer_and_no_row_of_a_burst_is_missed(
    settings: Settings,
) -> None:
    folder = settings.journal_dir.parent
    dice = random.Random(7)
    rows = [
        {"amount": float(n), "user_id": USERS[n % len(USERS)], "transaction_id": f"t{n}"}
        for n in range(60)
    ]
    often = [*rows, *rows, *rows]
    dice.shuffle(often)
    with Crew(folder, 2) as crew:
        found = hammer(crew, often)
        crew.kill(1)
        wait_until(lambda: len(crew.states()) == 2, 60)
        for name, answers in hammer(crew, rows).items():
            found[name] |= answers
        assert crew.stop() == 0
    assert {len(answers) for answers in found.values()} == {1}
    with Running(settings) as server:
        stored = {row["transaction_id"]: row for row in stored_rows(server.service.database.engine)}
        assert stored.keys() == found.keys()
        seen: dict[str, list[int]] = defaultdict(list)
        for row in stored.values():
            vector = np.frombuffer(row["feature_vector"], dtype="<f4")
            assert (
                b'"probability":%s' % str(row["score"]).encode()
                in found[row["transaction_id"]].pop()
            )
            seen[row["user_id"]].append(int(vector[1]))
    assert {user: sorted(counts) for user, counts in seen.items()} == {
        user: list(range(len(rows) // len(USERS))) for user in USERS
    }


@pytest.fixture
def shipped(template: Path, tmp_path: Path) -> Iterator[list[Running]]:
    """Two workers of one service, and one alone, with the shipped use case."""
    with ExitStack() as stack:
        found = []
        for folder, total in (("two", 2), ("one", 1)):
            shutil.copytree(template, tmp_path / folder)
            shutil.rmtree(tmp_path / folder / "prod_models")
            settings = serve_settings(tmp_path / folder, api_workers=total, use_case="fraud")
            for number in range(total):
                service = build_service(
                    settings,
                    USE_CASE,
                    SystemClock(),
                    smoke=NoSmoke(),
                    context=WorkerContext(number),
                )
                found.append(stack.enter_context(Running(settings, service=service)))
            signer = Signer(settings.keys_dir)
            raw = signer.bundle(
                "1.0.0",
                use_case=USE_CASE.name,
                components=COMPONENTS,
                feature_names=USE_CASE.feature_set.names,
                feature_set_version=USE_CASE.feature_set.version,
                thresholds=THRESHOLDS,
            )
            assert found[-1].push(raw, signer).json().get("partial", False) is False
        yield found


def post(server: Running, path: str, body: Row) -> httpx.Response:
    """As a caller with a token: rows without one may not be of the past."""
    return server.client.post(path, json=body, headers=server.bearer(Role.SCORER))


def test_every_feature_of_two_workers_is_that_of_one(shipped: list[Running]) -> None:
    first, second, alone = shipped
    rows = [
        {
            "amount": 5.0 + n % 7,
            "user_id": USERS[n % len(USERS)],
            "merchant_id": f"m{n % 3}",
            "transaction_id": f"t{n}",
            "event_time": f"2026-01-05T10:{n % 60:02d}:{n % 59:02d}Z",
            "country": ("DE", "FR")[n % 2],
        }
        for n in range(100)
    ]
    for at, row in enumerate(rows[:60]):
        for server in ((first, second)[at % 3 % 2], alone):
            assert post(server, "/predict", row).status_code == 200
    for server in (second, alone):
        answer = post(server, "/predict/batch", {"instances": rows[60:]})
        assert answer.status_code == 200
        assert all("error" not in row for row in answer.json()["predictions"])
    for server in shipped:
        server.drained()
    two, one = (
        {
            row["transaction_id"]: row["feature_vector"]
            for row in stored_rows(server.service.database.engine)
        }
        for server in (first, alone)
    )
    assert two.keys() == one.keys() == {row["transaction_id"] for row in rows}
    assert [name for name in one if one[name] != two[name]] == []
