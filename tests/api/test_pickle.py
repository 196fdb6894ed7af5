"""Pickled models: never deserialised when switched off, served when switched on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from api.settings import Settings
from tests.api.bundles import Signer, install
from tests.api.pickles import Footprint, bundle, half, pickled, slow
from tests.api.server import Running, wait_until
from tests.support.api_pushes import refused, rezipped
from tests.support.api_workers import worker


@pytest.fixture
def switched_on(settings: Settings) -> Settings:
    return settings.model_copy(update={"allow_pickle_models": True})


def test_switched_off_a_signed_pickle_is_refused_and_never_read(
    settings: Settings, signer: Signer, tmp_path: Path
) -> None:
    print_left = tmp_path / "footprint"
    raw = bundle(signer, "1.0.1", Footprint(print_left))
    with Running(settings) as server:
        problem = refused(server, server.push(raw, signer), 422, "model-unusable")
    assert "ALLOW_PICKLE_MODELS" in problem["detail"]
    assert not print_left.exists()


@pytest.mark.parametrize("what", ["signature", "digest"])
def test_switched_on_no_byte_is_unpickled_before_signature_and_digest_have_held(
    switched_on: Settings, signer: Signer, tmp_path: Path, what: str
) -> None:
    print_left = tmp_path / "footprint"
    raw = bundle(signer, "1.0.1", Footprint(print_left))
    with Running(switched_on) as server:
        if what == "signature":
            headers = {"X-Bundle-Signature": signer.sign(raw + b"!")}
            refused(server, server.push(raw, signer, **headers), 403, "bad-signature")
        else:
            other = rezipped(raw, {"card.md": b"", "model.pkl": b"\x80\x04N."})
            refused(server, server.push(other, signer), 422, "bundle-malformed")
    assert not print_left.exists()


def test_switched_on_a_python_object_is_served_and_survives_a_restart(
    switched_on: Settings, signer: Signer
) -> None:
    with Running(switched_on) as server:
        assert server.push(bundle(signer, "1.0.1", half(7.0)), signer).status_code == 200
        assert server.score(amount=2.0).json()["probability"] == 8.0
    with Running(switched_on) as server:
        assert server.score(amount=2.0).json()["version"] == "1.0.1"
    # Switched off again, what was promoted last is not served any more, and the log says why.
    off = switched_on.model_copy(update={"allow_pickle_models": False})
    with Running(off) as server:
        assert server.score(amount=2.0).json()["version"] == "1.0.0"


@pytest.mark.parametrize("model", ["not callable", half("text")])  # type: ignore[arg-type]
def test_an_object_that_does_not_score_is_refused(
    switched_on: Settings, signer: Signer, model: object
) -> None:
    with worker(switched_on, 0, total=1) as server:
        raw = bundle(signer, "1.0.1", model)
        problem = refused(server, server.push(raw, signer), 422, "model-unusable")
    assert "model.pkl does not score" in problem["detail"]


def test_a_slow_model_holds_up_neither_health_checks_nor_other_rows(
    switched_on: Settings, signer: Signer, tmp_path: Path
) -> None:
    install(switched_on, signer, "1.0.1")
    gate, inside = tmp_path / "gate", tmp_path / "inside"
    with worker(switched_on, 0, total=1) as server, ThreadPoolExecutor(1) as pool:
        assert server.push(bundle(signer, "1.0.2", slow(gate, inside)), signer).status_code == 200
        waiting = pool.submit(
            httpx.post, f"{server.url}/score", json={"amount": 150.0, "user_id": "slow"}, timeout=30
        )
        wait_until(inside.exists)
        for _ in range(5):
            assert server.client.get("/livez").status_code == 200
            assert server.client.get("/readyz").status_code == 200
            assert server.score(amount=2.0, user_id="quick").json()["probability"] == 1.0
        assert not waiting.done()
        gate.touch()
        wait_until(waiting.done)
        assert waiting.result().json()["probability"] == 75.0


def test_a_pickle_made_with_other_versions_of_its_libraries_is_refused_by_name(
    switched_on: Settings, signer: Signer
) -> None:
    files = {"model.pkl": pickled(half(7.0))}
    raw = signer.bundle("1.0.1", files, flavour="cloudpickle", frameworks={"numpy": "0.9.1"})
    with worker(switched_on, 0, total=1) as server:
        problem = refused(server, server.push(raw, signer), 422, "model-unusable")
    assert "numpy 0.9.1" in problem["detail"]
