"""A revoked version can never be served again: every way back is tried."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from shared.keys.tokens import Role
from tests.api.bundles import Signer, install
from tests.api.server import Running

BAD = "1.0.1"


def revoke(server: Running, version: str = BAD) -> httpx.Response:
    said = {"version": version, "reason": "trained on forged rows"}
    return server.client.post("/revoke_model", json=said, headers=server.bearer(Role.OPERATOR))


def served(server: Running) -> str:
    version: str = server.score(amount=1.0).json()["version"]
    return version


def state(server: Running, version: str = BAD) -> str:
    models = server.client.get("/models").json()["models"]
    return next(str(model["state"]) for model in models if model["version"] == version)


@pytest.fixture
def kept(settings: Settings, signer: Signer, tmp_path: Path) -> Path:
    """The files of the version, as somebody might have kept them."""
    install(settings, signer, BAD)
    return Path(
        shutil.copytree(settings.prod_models_dir / "versions" / BAD, tmp_path / "kept" / BAD)
    )


@pytest.fixture
def revoked(settings: Settings, kept: Path) -> Iterator[Running]:
    """A service that has rolled back to 1.0.0 because its version was revoked."""
    with Running(settings) as server:
        assert served(server) == BAD
        answer = revoke(server)
        assert answer.json() == {"revoked": BAD, "version": "1.0.0"}
        yield server


def test_revoking_what_serves_steps_back_at_once(revoked: Running) -> None:
    assert served(revoked) == "1.0.0"
    assert state(revoked) == "revoked"
    assert not (revoked.settings.prod_models_dir / "versions" / BAD).exists()


def test_a_revoked_version_does_not_come_back_by_rollback(revoked: Running, signer: Signer) -> None:
    assert revoked.rollback(version=BAD).status_code == 404
    assert revoked.push(signer.bundle("1.0.2"), signer).status_code == 200
    assert revoked.rollback(version=BAD).status_code == 404
    assert revoked.rollback().json()["version"] == "1.0.0"


def test_a_revoked_version_does_not_come_back_by_pushing_it_again(
    revoked: Running, kept: Path, signer: Signer
) -> None:
    answer = revoked.push((kept / "bundle.zip").read_bytes(), signer)
    assert (answer.status_code, answer.json()["type"]) == (
        409, "urn:understudy:problem:version-conflict",
    )  # fmt: skip


@pytest.mark.parametrize("ledger", ["whole", "damaged", "lost"])
def test_a_revoked_version_does_not_come_back_with_a_restart_and_its_own_files(
    settings: Settings, kept: Path, signer: Signer, ledger: str
) -> None:
    with Running(settings) as server:
        revoke(server)
    shutil.copytree(kept, settings.prod_models_dir / "versions" / BAD)
    (settings.prod_models_dir / "current_version.txt").write_text(f"{BAD}\n")
    path = settings.prod_models_dir / "ledger.json"
    if ledger == "damaged":
        path.write_text("{")
    elif ledger == "lost":
        path.unlink()
    with Running(settings) as server:
        answer = server.score(amount=1.0)
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == "1.0.0"
        assert server.rollback(version=BAD).status_code in (404, 409)
        again = server.push((kept / "bundle.zip").read_bytes(), signer)
        assert again.status_code == 409
        assert state(server) == "revoked"


def test_a_damaged_mark_still_revokes(settings: Settings, kept: Path) -> None:
    with Running(settings) as server:
        revoke(server)
    (settings.prod_models_dir / "revoked" / f"{BAD}.json").write_text("{")
    (settings.prod_models_dir / "ledger.json").unlink()
    shutil.copytree(kept, settings.prod_models_dir / "versions" / BAD)
    (settings.prod_models_dir / "current_version.txt").write_text(f"{BAD}\n")
    with Running(settings) as server:
        assert server.score(amount=1.0).json().get("version") != BAD


def test_what_is_kept_to_step_back_to_can_be_revoked(settings: Settings, signer: Signer) -> None:
    install(settings, signer, "1.0.1", "1.0.2")
    with Running(settings) as server:
        assert revoke(server, "1.0.1").json() == {"revoked": "1.0.1", "version": "1.0.2"}
        assert server.rollback().json()["version"] == "1.0.0"


def test_the_only_version_cannot_be_revoked_before_another_is_there(serving: Running) -> None:
    answer = revoke(serving, "1.0.0")
    assert (answer.status_code, answer.json()["type"]) == (
        409, "urn:understudy:problem:no-fallback",
    )  # fmt: skip
    assert serving.score(amount=1.0).json()["version"] == "1.0.0"


def test_an_older_signed_bundle_in_a_newer_ones_place_is_not_served(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, "1.0.1")
    versions = settings.prod_models_dir / "versions"
    for name in ("bundle.zip", "bundle.sig"):
        shutil.copy(versions / "1.0.0" / name, versions / "1.0.1" / name)
    with Running(settings) as server:
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
        assert server.rollback(version="1.0.1").status_code == 422


def test_a_version_on_trial_is_revoked_like_any_other(serving: Running, signer: Signer) -> None:
    raw = signer.bundle(BAD)
    assert serving.push(raw, signer, **{"X-Rollout": "canary"}).status_code == 200
    assert revoke(serving).json() == {"revoked": BAD, "version": "1.0.0"}
    versions = {
        serving.score(amount=1.0, user_id=f"u{number}").json()["version"] for number in range(200)
    }
    assert versions == {"1.0.0"}
    promote = {"action": "promote", "version": BAD, "reason": "a test"}
    headers = serving.bearer(Role.PUSH)
    assert serving.client.post("/update_rollout", json=promote, headers=headers).status_code >= 400
    assert served(serving) == "1.0.0"
