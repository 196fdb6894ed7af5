"""A caller over its rate limit gets a Retry-After, and no other caller waits."""

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.server import Running


def test_wrong_credentials_are_told_to_wait_and_right_ones_are_not(settings: Settings) -> None:
    strict = settings.model_copy(update={"failed_attempts_per_minute": 3})
    with Running(strict) as server:
        wrong = {"Authorization": "Bearer guess"}
        statuses = [
            server.client.post("/rollback_model", headers=wrong).status_code for _ in range(5)
        ]
        assert statuses == [401, 401, 401, 429, 429]
        answer = server.client.post("/update_model", headers=server.bearer(Role.SCORER))
        assert answer.status_code == 429
        assert answer.json()["type"] == "urn:understudy:problem:too-many-requests"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        # from the same address, with the right token
        assert server.rollback().status_code == 409


def test_changes_by_one_role_are_limited_and_another_roles_are_not(settings: Settings) -> None:
    strict = settings.model_copy(update={"changes_per_minute": 2})
    with Running(strict) as server:
        assert [server.rollback().status_code for _ in range(3)] == [409, 409, 429]
        alert = {"version": "4", "alerts": []}
        headers = server.bearer(Role.ALERT)
        assert server.client.post("/alert", json=alert, headers=headers).status_code == 200


def test_a_forwarded_address_does_not_evade_the_limit(settings: Settings) -> None:
    strict = settings.model_copy(update={"failed_attempts_per_minute": 1})
    with Running(strict) as server:
        statuses = [
            server.client.post(
                "/rollback_model",
                headers={
                    "X-Forwarded-For": f"10.0.0.{number}",
                    "Forwarded": f"for=10.0.0.{number}",
                },
            ).status_code
            for number in range(3)
        ]
    assert statuses == [401, 429, 429]
