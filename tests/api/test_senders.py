"""Rows and labels say who sent them, from the request to the database."""

from pathlib import Path

import httpx
import pytest

from api.http.callers import NamedTokens
from api.journal.entries import decode_row, is_quarantined
from api.settings import Settings
from shared.errors import SettingsError
from shared.keys.tokens import (
    Role,
    ensure_named_token,
    named_folder,
    revoke_named_token,
    token_digest,
)
from shared.tables.label_changes import labels_known_then
from tests.api.server import Running, wait_until
from tests.api.tiny import stored_rows
from tests.support.api_calls import feedback


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def named(server: Running, role: Role, name: str) -> dict[str, str]:
    return bearer(ensure_named_token(server.settings.keys_dir, role, name))


def senders(server: Running) -> dict[str, str | None]:
    server.drained()
    return {
        row["transaction_id"]: row["sent_by"] for row in stored_rows(server.service.database.engine)
    }


@pytest.mark.parametrize("path", ["/score", "/score?long"])
def test_a_row_is_stored_with_the_name_of_the_token_it_came_with(
    serving: Running, path: str
) -> None:
    def score(name: str, headers: dict[str, str]) -> httpx.Response:
        body = {"amount": 1.0, "transaction_id": name}
        return serving.client.post(path, json=body, headers=headers)

    assert score("a", {}).status_code == 200
    assert score("b", serving.bearer(Role.SCORER)).status_code == 200
    shop = named(serving, Role.SCORER, "shop-a")
    wait_until(lambda: score("c", shop).status_code == 200)
    assert senders(serving) == {"a": "anonymous", "b": "scorer", "c": "shop-a"}


def test_a_batch_and_a_thread_pool_know_the_sender_too(settings: Settings) -> None:
    pooled = settings.model_copy(update={"scoring_in_threads": "on"})
    with Running(pooled) as server:
        body = {"instances": [{"amount": 1.0, "transaction_id": "a"}]}
        headers = server.bearer(Role.SCORER)
        assert server.client.post("/score/batch", json=body, headers=headers).is_success
        assert server.score(amount=1.0, transaction_id="b").is_success
        assert senders(server) == {"a": "scorer", "b": "anonymous"}


@pytest.mark.parametrize(
    ("header", "status"),
    [("Bearer wrong", 401), ("Basic eDp5", 401), ("", 401), ("Bearer", 401)],
)
@pytest.mark.parametrize("path", ["/score", "/score?long", "/score/batch"])
def test_wrong_credentials_are_refused_although_scoring_is_open(
    steady: Running, path: str, header: str, status: int
) -> None:
    body = {"instances": [{"amount": 1.0}]} if path.endswith("batch") else {"amount": 1.0}
    answer = steady.client.post(path, json=body, headers={"Authorization": header})
    assert answer.status_code == status


def test_another_roles_credentials_do_not_score_although_scoring_is_open(steady: Running) -> None:
    answer = steady.client.post("/score", json={"amount": 1.0}, headers=steady.bearer(Role.READ))
    assert answer.status_code == 403


def test_labels_need_the_feedback_role_whatever_scoring_needs(steady: Running) -> None:
    body = {"labels": [{"transaction_id": "t", "label": 1}]}
    assert steady.client.post("/feedback", json=body).status_code == 401
    for role in set(Role) - {Role.FEEDBACK, Role.TRIGGER}:
        answer = steady.client.post("/feedback", json=body, headers=steady.bearer(role))
        assert answer.status_code == 403, role


def test_a_label_says_who_sent_it_and_so_does_the_one_it_replaced(serving: Running) -> None:
    serving.score(amount=1.0, transaction_id="t")
    serving.drained()
    assert feedback(serving, {"transaction_id": "t", "label": 1}).json()["stored"] == 1
    bank = named(serving, Role.FEEDBACK, "bank")
    body = {"labels": [{"transaction_id": "t", "label": 0}]}
    wait_until(lambda: serving.client.post("/feedback", json=body, headers=bank).status_code == 200)
    (row,) = stored_rows(serving.service.database.engine)
    assert (row["label"], row["label_sent_by"]) == (0, "bank")
    with serving.service.database.engine.connect() as connection:
        (replaced,) = connection.execute(labels_known_then(row["label_known_at"] - 1)).all()
    assert replaced.label_sent_by == "feedback"


def test_a_label_that_waits_in_the_journal_keeps_its_sender(settings: Settings) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with Running(slow) as server:
        server.score(amount=1.0, transaction_id="t")
        assert feedback(server, {"transaction_id": "t", "label": 1}).json()["queued"] == 1
    with Running(settings) as server:
        (row,) = stored_rows(server.service.database.engine)
        assert (row["sent_by"], row["label_sent_by"]) == ("anonymous", "feedback")


def test_the_journal_holds_the_sender_before_the_answer_leaves(settings: Settings) -> None:
    slow = settings.model_copy(update={"journal_drain_seconds": 60.0})
    with Running(slow) as server:
        server.score(amount=1.0, transaction_id="t")
        (payload,) = server.service.journaling.journal.pending()
        assert not is_quarantined(payload)
        row = decode_row(payload)
        assert isinstance(row, tuple)
        assert "anonymous" in row


def test_named_tokens_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    token = ensure_named_token(tmp_path, Role.SCORER, "shop-a")
    assert ensure_named_token(tmp_path, Role.SCORER, "shop-a") == token
    file = named_folder(tmp_path, Role.SCORER) / "shop-a.token"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["", "anonymous", "scorer", "push", "Shop", "a/b", "../x", "a b", ".a", "x" * 65, "a\n"]
)
def test_what_cannot_name_a_token_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a token"):
        ensure_named_token(tmp_path, Role.SCORER, name)
    assert list(tmp_path.iterdir()) == []


def test_named_tokens_come_and_go_without_a_restart(tmp_path: Path) -> None:
    seconds = [0.0]
    tokens = NamedTokens(tmp_path, Role, now=lambda: seconds[0])
    assert tokens() == {}
    token = ensure_named_token(tmp_path, Role.SCORER, "shop-a")
    assert tokens() == {}
    seconds[0] = 1.0
    found = tokens()[token_digest(token.encode())]
    assert (found.name, found.role, found.is_trusted) == ("shop-a", Role.SCORER, True)
    revoke_named_token(tmp_path, Role.SCORER, "shop-a")
    seconds[0] = 2.0
    assert tokens() == {}
    with pytest.raises(SettingsError, match="known: none"):
        revoke_named_token(tmp_path, Role.SCORER, "shop-a")


@pytest.mark.parametrize("content", ["", "short", " \n"])
def test_a_file_without_a_token_admits_nobody(tmp_path: Path, content: str) -> None:
    folder = named_folder(tmp_path, Role.SCORER)
    folder.mkdir(parents=True)
    (folder / "shop-a.token").write_text(content)
    assert NamedTokens(tmp_path, Role)() == {}
