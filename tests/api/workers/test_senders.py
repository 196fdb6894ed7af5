"""A row keeps its sender, and what becomes of it, when another worker scores it."""

import pytest

from api.settings import Settings
from shared.keys.tokens import Role, ensure_named_token
from tests.api.server import Running
from tests.api.tiny import stored_rows
from tests.support.api_calls import ago, quarantined_rows
from tests.support.api_workers import user_of, worker


@pytest.mark.parametrize("path", ["/score", "/score?slow", "/score/batch"])
def test_a_row_that_another_worker_scores_is_its_senders(settings: Settings, path: str) -> None:
    token = ensure_named_token(settings.keys_dir, Role.SCORER, "shop-a")
    shop = {"Authorization": f"Bearer {token}"}
    exposed = settings.model_copy(update={"open_scoring_reach": "anywhere"})
    with worker(exposed, 0) as first, worker(exposed, 1) as second:
        for number, server in enumerate((first, second)):
            for owner in (0, 1):
                row = {"amount": 1.0, "user_id": user_of(owner)}
                for headers, name in ((shop, "shop"), ({}, "stranger")):
                    named = row | {"transaction_id": f"{name}-{number}-{owner}"}
                    assert _send(server, path, named, headers) == "scored"
                old = row | {"event_time": ago(days=2)}
                assert _send(server, path, old, shop) == "scored"
                assert _send(server, path, old, {}) == "event_time"
        for server in (first, second):
            server.drained()
        engine = first.service.database.engine
        assert {row["sent_by"] for row in stored_rows(engine)} == {"shop-a"}
        strangers = {row["transaction_id"] for row in quarantined_rows(engine)}
        assert strangers == {f"stranger-{n}-{owner}" for n in (0, 1) for owner in (0, 1)}


def _send(server: Running, path: str, row: dict[str, object], headers: dict[str, str]) -> str:
    """`scored`, or the field that was refused."""
    if path != "/score/batch":
        answer = server.client.post(path, json=row, headers=headers)
        return "scored" if answer.is_success else str(answer.json()["errors"][0]["field"])
    answer = server.client.post(path, json={"instances": [row]}, headers=headers)
    (found,) = answer.json()["predictions"]
    return str(found["error"]["errors"][0]["field"]) if "error" in found else "scored"
