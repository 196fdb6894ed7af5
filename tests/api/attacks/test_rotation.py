"""Keys follow each other while pushes go on; a retired key opens nothing new."""

import threading
from concurrent.futures import ThreadPoolExecutor

from api.settings import Settings
from shared.keys.store import KeyStore, sign
from tests.api.bundles import Signer
from tests.api.server import Running


def test_no_push_is_refused_while_keys_rotate(serving: Running, signer: Signer) -> None:
    store = KeyStore(serving.settings.keys_dir)
    done = threading.Event()

    def push_on() -> list[int]:
        answers: list[int] = []
        while not done.is_set() or len(answers) < 3:
            raw = signer.bundle(f"1.0.{len(answers) + 1}")
            answers.append(serving.push(raw, signer).status_code)
        return answers

    with ThreadPoolExecutor(1) as pool:
        pushing = pool.submit(push_on)
        ids = {store.rotate() for _ in range(10)}
        done.set()
        answers = pushing.result()
    assert set(answers) == {200}
    signers = {model["signed_by"] for model in serving.client.get("/models").json()["models"]}
    assert signers & ids


def test_a_retired_key_may_not_push_and_what_it_signed_serves_on_after_a_restart(
    settings: Settings, signer: Signer
) -> None:
    store = KeyStore(settings.keys_dir)
    old, old_key = store.signing_key_id(), store.private_key()
    assert old is not None
    with Running(settings) as server:
        store.rotate()
        store.retire(old)
        raw = signer.bundle("1.0.1")
        refused = server.push(raw, signer, **{"X-Bundle-Signature": sign(raw, old_key)})
        assert refused.json()["type"] == "urn:understudy:problem:bad-signature"
        assert server.push(raw, signer).status_code == 200
    with Running(settings) as server:
        assert server.rollback().json()["version"] == "1.0.0"


def test_what_a_compromised_key_signed_does_not_load_again(settings: Settings) -> None:
    store = KeyStore(settings.keys_dir)
    old = store.signing_key_id()
    assert old is not None
    store.rotate()
    store.retire(old, compromised=True)
    with Running(settings) as server:
        assert server.score(amount=1.0).status_code == 503
