"""Users of the canary get the candidate's answers, and no user ever loses an answer."""

from typing import Any

import pytest

from api.settings import Settings
from tests.api.bundles import Signer, bias_of, install
from tests.api.rollout.driving import (
    CANDIDATE,
    current,
    last,
    shown,
    try_out,
    update,
    users,
    version_for,
)
from tests.api.rollout.faults import TRAP, answers_nan
from tests.api.server import Running, wait_until
from tests.support.api_calls import alert
from tests.support.api_pushes import audit

pytestmark = pytest.mark.slow

CHAMPION = "1.0.0"


@pytest.fixture
def canary(serving: Running, signer: Signer) -> Running:
    answer = try_out(serving, signer, "canary")
    assert answer.status_code == 200, answer.text
    return serving


def test_a_pushed_canary_leaves_the_champion_serving_and_says_so(
    serving: Running, signer: Signer
) -> None:
    answer = try_out(serving, signer, "canary").json()
    assert (answer["version"], answer["previous"], answer["rollout"]) == (
        CANDIDATE, CHAMPION, "canary",
    )  # fmt: skip
    assert (answer["workers"]["serving"], answer["partial"]) == (1, False)
    body = serving.client.get("/current_model").json()
    assert body["version"] == CHAMPION
    rollout = body["rollout"]
    assert (rollout["mode"], rollout["version"], rollout["share_percent"]) == (
        "canary", CANDIDATE, 5,
    )  # fmt: skip
    assert rollout["next_share"] == 10
    assert audit(serving.settings)[-1]["what"] == "rollout-begun"


def test_users_of_the_share_get_the_candidate_and_stay_with_it_as_the_share_grows(
    canary: Running,
) -> None:
    everybody = users(canary.settings, 40, inside=True, share=50)
    everybody += users(canary.settings, 20, inside=False, share=50)
    moved: set[str] = set()
    for share in (5, 10, 25, 50):
        if share > 5:
            assert update(canary, "advance", share_percent=share).json()["share_percent"] == share
        now = {user for user in everybody if version_for(canary, user) == CANDIDATE}
        assert now == set(users_below(canary.settings, everybody, share))
        assert moved <= now
        moved = now


def users_below(settings: Settings, names: list[str], share: int) -> list[str]:
    inside = set(users(settings, 40, inside=True, share=share))
    return [name for name in names if name in inside]


def test_the_users_of_a_canary_are_the_same_after_a_restart(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        try_out(server, signer, "canary")
        inside, outside = (users(settings, 5, inside=side) for side in (True, False))
        assert {version_for(server, user) for user in inside} == {CANDIDATE}
        assert shown(server)["arms"]["candidate"]["requests"] == 5
    with Running(settings) as server:
        assert {version_for(server, user) for user in inside} == {CANDIDATE}
        assert {version_for(server, user) for user in outside} == {CHAMPION}
        # What was counted before the restart still counts, and nobody counts as two users.
        arms = shown(server)["arms"]
        assert (arms["candidate"]["requests"], arms["candidate"]["users"]) == (10, 5)
        assert (arms["champion"]["requests"], arms["champion"]["users"]) == (5, 5)


def test_a_retried_row_is_answered_as_before_although_the_share_has_grown(canary: Running) -> None:
    inside_10 = set(users(canary.settings, 40, inside=True, share=10))
    mover = next(iter(inside_10 - set(users(canary.settings, 40, inside=True, share=5))))
    assert version_for(canary, mover, transaction_id="t-1") == CHAMPION
    update(canary, "advance")
    assert version_for(canary, mover, transaction_id="t-1") == CHAMPION
    assert version_for(canary, mover, transaction_id="t-2") == CANDIDATE


def test_a_row_the_candidate_cannot_score_is_answered_by_the_champion_and_is_its_error(
    serving: Running, signer: Signer
) -> None:
    try_out(serving, signer, "canary", answers_nan(CANDIDATE))
    user = users(serving.settings, 1, inside=True)[0]
    assert version_for(serving, user) == CANDIDATE
    assert serving.score(amount=TRAP, user_id=user).json()["version"] == CHAMPION
    candidate = shown(serving)["arms"]["candidate"]
    assert (candidate["requests"], candidate["errors"]) == (2, 1)


def test_a_candidate_that_fails_row_after_row_is_left_at_once(
    serving: Running, signer: Signer
) -> None:
    try_out(serving, signer, "canary", answers_nan(CANDIDATE))
    for user in users(serving.settings, 10, inside=True):
        assert serving.score(amount=TRAP, user_id=user).json()["version"] == CHAMPION
    wait_until(lambda: last(serving) is not None)
    ended = last(serving)
    assert (ended["outcome"], ended["who"]) == ("aborted", "canary")


def test_rows_of_a_batch_go_by_their_users_and_the_batch_is_the_champions(canary: Running) -> None:
    inside, outside = (users(canary.settings, 2, inside=side) for side in (True, False))
    order = [inside[0], outside[0], inside[1], outside[1]]
    rows = [{"amount": 2.0, "user_id": user} for user in order]
    answer = canary.client.post("/score/batch", json={"instances": rows}).json()
    wanted = [CANDIDATE, CHAMPION, CANDIDATE, CHAMPION]
    assert [row["version"] for row in answer["predictions"]] == wanted
    scores = [row["probability"] for row in answer["predictions"]]
    assert scores == [1.0 + bias_of(version) for version in wanted]
    assert answer["version"] == CHAMPION


def test_a_promotion_serves_everybody_and_keeps_the_champion_as_fallback(canary: Running) -> None:
    answer = update(canary, "promote")
    assert answer.json() == {
        "action": "promote", "version": CANDIDATE, "rollout": None, "share_percent": None,
        "partial": False,
    }  # fmt: skip
    body = canary.client.get("/current_model").json()
    assert (body["version"], body["fallback"], body["rollout"]) == (CANDIDATE, CHAMPION, None)
    assert body["last_rollout"]["outcome"] == "promoted"
    assert [line["what"] for line in audit(canary.settings)[-2:]] == ["rollout-begun", "promotion"]


def test_an_aborted_candidate_answers_nobody_and_is_never_restored(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        try_out(server, signer, "canary")
        user = users(settings, 1, inside=True)[0]
        assert update(server, "abort", reason="too many alerts").status_code == 200
        assert version_for(server, user) == CHAMPION
        models = server.client.get("/models").json()["models"]
        assert [model["state"] for model in models] == ["rolled-back", "serving"]
    (settings.prod_models_dir / "current_version.txt").unlink()
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == CHAMPION


def test_a_candidate_on_trial_is_not_what_a_lost_pointer_leads_to(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings) as server:
        try_out(server, signer, "canary")
    (settings.prod_models_dir / "current_version.txt").unlink()
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == CHAMPION


def test_a_rollback_without_a_version_leaves_the_candidate_and_nothing_else(
    canary: Running,
) -> None:
    user = users(canary.settings, 1, inside=True)[0]
    answer = canary.rollback("it blocks everybody").json()
    assert (answer["version"], answer["previous"]) == (CHAMPION, CANDIDATE)
    assert version_for(canary, user) == CHAMPION
    assert last(canary)["reason"] == "it blocks everybody"


def test_a_rollback_of_the_champion_ends_the_rollout_too(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    with Running(settings) as server:
        raw = signer.bundle("1.0.2")
        server.push(raw, signer, **{"X-Rollout": "canary"})
        user = users(settings, 1, inside=True)[0]
        assert version_for(server, user) == "1.0.2"
        assert server.rollback("bad champion", version="1.0.0").json()["version"] == "1.0.0"
        assert version_for(server, user) == "1.0.0"
        wait_until(lambda: last(server) is not None)
        ended = last(server)
    assert (ended["version"], ended["outcome"]) == ("1.0.2", "aborted")
    assert ended["reason"] == "rolled back to 1.0.0: bad champion"


def test_an_alert_about_the_candidate_ends_the_rollout(canary: Running) -> None:
    answer = alert(canary, CANDIDATE).json()
    assert (answer["action"], answer["version"]) == ("rolled-back", CHAMPION)
    assert (shown(canary), last(canary)["who"]) == (None, "alert")


def test_a_rollback_works_while_the_rollout_cannot_be_written(canary: Running) -> None:
    user = users(canary.settings, 1, inside=True)[0]
    root = canary.settings.prod_models_dir
    root.rename(root.with_name("gone"))
    root.write_text("a file where the registry was")
    answer = canary.rollback("the disk is broken too")
    assert answer.status_code == 500
    assert version_for(canary, user) == CHAMPION


def test_a_second_candidate_has_to_wait_and_an_immediate_one_supersedes(
    canary: Running, signer: Signer
) -> None:
    raw = signer.bundle("1.0.2")
    refused = canary.push(raw, signer, **{"X-Rollout": "shadow"})
    assert (refused.status_code, refused.json()["type"]) == (
        409, "urn:understudy:problem:rollout-conflict",
    )  # fmt: skip
    assert canary.push(raw, signer).json()["rollout"] == "immediate"
    wait_until(lambda: last(canary) is not None)
    assert (last(canary)["version"], last(canary)["outcome"]) == (CANDIDATE, "superseded")


def test_a_first_model_is_served_at_once_whatever_was_asked(
    running: Running, signer: Signer
) -> None:
    answer = running.push(signer.bundle("1.0.0"), signer, **{"X-Rollout": "canary"})
    assert (answer.json()["rollout"], answer.json()["version"]) == ("immediate", "1.0.0")


MISFITS: list[tuple[str, dict[str, Any], int, str]] = [
    ("advance", {"version": "1.0.7"}, 409, "rollout-conflict"),
    ("advance", {"share_percent": 5}, 409, "rollout-conflict"),
    ("advance", {"share_percent": 11}, 409, "rollout-conflict"),
    ("promote", {"fence": 3}, 409, "stale-fencing-number"),
    ("abort", {"fence": 3}, 409, "stale-fencing-number"),
    ("restart", {}, 422, "invalid-request"),
    ("abort", {"reason": ""}, 422, "invalid-request"),
]


def test_a_step_that_does_not_fit_is_refused_and_changes_nothing(
    serving: Running, signer: Signer
) -> None:
    headers = {"X-Rollout": "canary", "X-Fencing-Number": "4"}
    assert serving.push(signer.bundle(CANDIDATE), signer, **headers).status_code == 200
    before = current(serving.settings)
    for action, body, status, kind in MISFITS:
        answer = update(serving, action, **body)
        found = answer.status_code, answer.json()["type"].rpartition(":")[2]
        assert found == (status, kind), (action, body)
        assert current(serving.settings) == before


def test_metrics_tell_of_each_arm(canary: Running) -> None:
    for side in (True, False):
        version_for(canary, users(canary.settings, 1, inside=side)[0])
    assert shown(canary) is not None
    text = canary.client.get("/metrics").text
    assert 'understudy_rollout_share_ratio{mode="canary",version="1.0.1"} 0.05' in text
    assert 'understudy_rollout_requests_total{arm="candidate",version="1.0.1"} 1.0' in text
    assert 'understudy_rollout_requests_total{arm="champion",version="1.0.0"} 1.0' in text
