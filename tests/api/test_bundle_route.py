"""The signed bytes of a version, as the scheduler on another disk fetches them."""

import pytest

from api.settings import Settings
from scheduler.scoring_api import ApiUnavailable, BundleRefused, HttpScoringApi
from shared.keys.store import KeyStore, verify
from shared.keys.tokens import API_ROLES, Role, read_token
from tests.api.bundles import Signer, install
from tests.api.server import Running


def test_the_bundle_comes_as_it_was_pushed_and_its_signature_holds(
    serving: Running, signer: Signer
) -> None:
    raw = signer.bundle("1.0.1")
    assert serving.push(raw, signer).status_code == 200
    api = HttpScoringApi(serving.url, read_token(serving.settings.keys_dir, Role.PUSH), 5, 5)
    signed = api.bundle("1.0.1")
    api.close()
    assert signed.raw == raw
    assert verify(signed.raw, signed.signature, KeyStore(serving.settings.keys_dir).trusted_keys())


@pytest.mark.parametrize("role", [role for role in API_ROLES if role is not Role.PUSH])
def test_reading_is_not_enough_a_bundle_is_the_model(serving: Running, role: Role) -> None:
    path = "/models/1.0.0/bundle"
    assert serving.client.get(path).status_code == 401
    if role is not Role.TRIGGER:
        assert serving.client.get(path, headers=serving.bearer(role)).status_code == 403


@pytest.mark.parametrize(
    "version", ["9.9.9", "latest", "..", "%2e%2e%2fkeys", "1.0.0%00", "x" * 65]
)
def test_what_is_no_version_of_the_registry_is_not_there(serving: Running, version: str) -> None:
    answer = serving.client.get(f"/models/{version}/bundle", headers=serving.bearer(Role.PUSH))
    assert answer.status_code in {404, 422}
    assert answer.json()["type"].startswith("urn:understudy:problem:")


def test_a_revoked_version_is_not_given_out(settings: Settings, signer: Signer) -> None:
    install(settings, signer, "1.0.1")
    with Running(settings) as server:
        said = {"version": "1.0.1", "reason": "trained on forged rows"}
        server.client.post("/revoke_model", json=said, headers=server.bearer(Role.OPERATOR))
        answer = server.client.get("/models/1.0.1/bundle", headers=server.bearer(Role.PUSH))
        assert (answer.status_code, answer.json()["title"]) == (404, "There is no such version")


def test_a_refusal_and_silence_are_told_apart(serving: Running) -> None:
    wrong = HttpScoringApi(serving.url, "not-the-token", 5, 5)
    with pytest.raises(BundleRefused, match="answered 401"):
        wrong.bundle("1.0.0")
    wrong.close()
    nobody = HttpScoringApi("http://127.0.0.1:9", "token", 1, 1)
    with pytest.raises(ApiUnavailable):
        nobody.bundle("1.0.0")
    nobody.close()
