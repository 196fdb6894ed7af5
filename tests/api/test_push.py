from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import helper

from api.settings import Settings
from shared.keys.store import sign
from shared.keys.tokens import Role
from tests.api.bundles import Signer, graph, install
from tests.api.server import Running
from tests.support.api_pushes import audit, refused, rezipped


def test_a_signed_bundle_is_served_from_the_answer_on(serving: Running, signer: Signer) -> None:
    raw = signer.bundle("1.0.1")
    answer = serving.push(raw, signer)
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] == answer.headers["X-Model-Version"] == "1.0.1"
    assert answer.json()["previous"] == "1.0.0"
    assert answer.json()["activated_at"].endswith("Z")
    assert serving.score(amount=1.0).json() | {"transaction_id": ""} == {
        "transaction_id": "", "probability": 1.5, "seen_before": 0, "version": "1.0.1",
    }  # fmt: skip
    line = audit(serving.settings)[-1]
    assert (line["what"], line["version"], line["previous"]) == ("promotion", "1.0.1", "1.0.0")
    assert (line["who"], line["why"]) == ("push", "tiny 1.0.1")


def test_the_first_bundle_has_no_previous(running: Running, signer: Signer) -> None:
    answer = running.push(signer.bundle("1.0.0"), signer)
    assert answer.json()["previous"] is None
    assert running.client.get("/current_model").json()["version"] == "1.0.0"


def test_a_bundle_without_a_signature_is_refused(serving: Running, signer: Signer) -> None:
    answer = serving.push(signer.bundle("1.0.1"), signer, **{"X-Bundle-Signature": ""})
    refused(serving, answer, 403, "bad-signature")


def test_a_signature_by_another_key_is_refused(serving: Running, signer: Signer) -> None:
    raw = signer.bundle("1.0.1")
    other = sign(raw, Ed25519PrivateKey.generate())
    answer = serving.push(raw, signer, **{"X-Bundle-Signature": other})
    refused(serving, answer, 403, "bad-signature")


def test_a_stranger_that_borrows_the_trusted_keys_name_is_refused(
    serving: Running, signer: Signer
) -> None:
    raw = signer.bundle("1.0.1")
    name = signer.sign(raw).partition(":")[0]
    forged = sign(raw, Ed25519PrivateKey.generate()).partition(":")[2]
    answer = serving.push(raw, signer, **{"X-Bundle-Signature": f"{name}:{forged}"})
    refused(serving, answer, 403, "bad-signature")


@pytest.mark.parametrize("place", [0, 200, -1])
def test_one_flipped_bit_is_refused(serving: Running, signer: Signer, place: int) -> None:
    raw = bytearray(signer.bundle("1.0.1"))
    signature = signer.sign(bytes(raw))
    raw[place] ^= 1
    answer = serving.push(bytes(raw), signer, **{"X-Bundle-Signature": signature})
    refused(serving, answer, 403, "bad-signature")


def test_a_truncated_bundle_is_refused_even_when_it_was_signed(
    serving: Running, signer: Signer
) -> None:
    raw = signer.bundle("1.0.1")
    answer = serving.push(raw[:-100], signer)
    refused(serving, answer, 422, "bundle-malformed")


def test_a_file_that_is_not_what_the_manifest_says_is_refused(
    serving: Running, signer: Signer
) -> None:
    raw = rezipped(signer.bundle("1.0.1"), {"model.onnx": graph("1.9.9")})
    problem = refused(serving, serving.push(raw, signer), 422, "bundle-malformed")
    assert "model.onnx" in problem["detail"]


@pytest.mark.parametrize("version", ["1.0.0", "0.9.9"])
def test_a_replay_and_a_downgrade_are_conflicts(
    serving: Running, signer: Signer, version: str
) -> None:
    answer = serving.push(signer.bundle(version), signer)
    refused(serving, answer, 409, "version-conflict")


def test_a_version_that_was_stepped_back_from_cannot_be_pushed_again(
    serving: Running, signer: Signer
) -> None:
    raw = signer.bundle("1.0.1")
    serving.push(raw, signer)
    serving.rollback()
    answer = serving.push(raw, signer)
    refused(serving, answer, 409, "version-conflict")


def test_a_scheduler_that_lost_its_lease_is_refused(serving: Running, signer: Signer) -> None:
    first = serving.push(signer.bundle("1.0.1"), signer, **{"X-Fencing-Number": "7"})
    assert first.status_code == 200
    answer = serving.push(signer.bundle("1.0.2"), signer, **{"X-Fencing-Number": "6"})
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("stale-fencing-number")


@pytest.mark.parametrize(
    "changes",
    [
        {"use_case": "huge"},
        {"feature_set_version": "tiny-2"},
        {"feature_names": ("amount", "shoe_size")},
        {"version": "2.0.0"},
    ],
)
def test_an_authentic_bundle_that_does_not_fit_is_refused(
    serving: Running, signer: Signer, changes: dict[str, Any]
) -> None:
    raw = signer.bundle(changes.pop("version", "1.0.1"), **changes)
    refused(serving, serving.push(raw, signer), 422, "model-unusable")


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([helper.make_node("Nothing", ["features"], ["scores"])], "does not load"),
        ([helper.make_node("Log", ["features"], ["scores"])], "NaN"),
        ([helper.make_node("Transpose", ["features"], ["scores"])], "answers"),
    ],
)
def test_a_model_that_does_not_work_is_refused(
    serving: Running, signer: Signer, nodes: list[Any], says: str
) -> None:
    raw = signer.bundle("1.0.1", {"model.onnx": graph("1.0.1", nodes=nodes)})
    problem = refused(serving, serving.push(raw, signer), 422, "model-unusable")
    assert says in problem["detail"]


def test_a_bundle_over_the_limit_is_refused_by_its_length(
    settings: Settings, signer: Signer
) -> None:
    with Running(settings.model_copy(update={"bundle_max_bytes": 2048})) as server:
        raw = signer.bundle("1.0.1", {"model.onnx": b"x" * 4096})
        refused(server, server.push(raw, signer), 413, "too-large")


def test_a_bundle_over_the_limit_is_refused_while_it_streams(
    settings: Settings, signer: Signer
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    with Running(settings.model_copy(update={"bundle_max_bytes": 2048})) as server:
        headers = server.bearer(Role.PUSH) | {"X-Bundle-Signature": "k:s"}
        try:
            answer = server.client.post("/update_model", content=endless(), headers=headers)
            assert answer.status_code == 413
        except httpx.TransportError:
            pass  # the server hung up before the client had sent it all
        assert server.client.get("/current_model").json()["version"] == "1.0.0"
        assert audit(settings)[-1]["code"] == "too-large"


def test_a_full_registry_keeps_ten_versions_the_current_and_its_fallback(
    settings: Settings, signer: Signer
) -> None:
    install(settings, signer, *(f"1.0.{number}" for number in range(1, 11)))
    with Running(settings) as server:
        assert server.push(signer.bundle("1.0.11"), signer).status_code == 200
        listed = server.client.get("/models").json()["models"]
    kept = {path.name for path in (settings.prod_models_dir / "versions").iterdir()}
    assert kept == {f"1.0.{number}" for number in range(2, 12)}
    states = {model["version"]: model["state"] for model in listed}
    assert len(states) == 12
    assert (states["1.0.11"], states["1.0.10"]) == ("serving", "fallback")
    assert (states["1.0.5"], states["1.0.0"]) == ("stored", "removed")
