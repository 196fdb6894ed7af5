import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import SettingsError, SignatureInvalid
from shared.keys.store import KeyStore, sign, verify


def test_a_new_key_signs_and_the_old_one_stays_trusted(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    old = store.ensure_signing_key()
    signed_before = sign(b"x", store.private_key())
    new = store.rotate()
    assert new != old
    assert verify(b"x", sign(b"x", store.private_key()), store.trusted_keys()) == new
    assert verify(b"x", signed_before, store.trusted_keys()) == old
    assert (tmp_path / "signing" / "ed25519.pem").stat().st_mode & 0o777 == 0o600


def test_whoever_signs_during_a_rotation_is_trusted_at_that_instant(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    store.ensure_signing_key()
    done = threading.Event()

    def sign_on() -> int:
        signed = 0
        while not done.is_set():
            signature = sign(b"x", KeyStore(tmp_path).private_key())
            verify(b"x", signature, KeyStore(tmp_path).trusted_keys())
            signed += 1
        return signed

    with ThreadPoolExecutor(1) as pool:
        signing = pool.submit(sign_on)
        for _ in range(20):
            store.rotate()
        done.set()
        assert signing.result() > 0


def test_rotations_at_once_leave_one_signing_key_that_is_trusted(tmp_path: Path) -> None:
    KeyStore(tmp_path).ensure_signing_key()
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: KeyStore(tmp_path).rotate(), range(4)))
    store = KeyStore(tmp_path)
    assert len(made) == 4
    assert store.signing_key_id() in made
    assert made < set(store.trusted_keys())


def test_a_retired_key_may_not_sign_and_is_still_known(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    old = store.ensure_signing_key()
    signature = sign(b"x", store.private_key())
    store.rotate()
    store.retire(old)
    store.retire(old)  # a second time changes nothing
    with pytest.raises(SignatureInvalid):
        verify(b"x", signature, store.trusted_keys())
    assert verify(b"x", signature, store.retired_keys()) == old


def test_a_compromised_key_is_forgotten_even_if_it_was_retired_before(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    old = store.ensure_signing_key()
    store.rotate()
    store.retire(old)
    store.retire(old, compromised=True)
    assert old not in {**store.trusted_keys(), **store.retired_keys()}


@pytest.mark.parametrize("name", ["0123456789abcdef", "../../etc/passwd", "", "a/b"])
def test_what_is_no_known_key_cannot_be_retired(tmp_path: Path, name: str) -> None:
    store = KeyStore(tmp_path)
    signing = store.ensure_signing_key()
    with pytest.raises(SettingsError):
        store.retire(name)
    with pytest.raises(SettingsError, match="rotate"):
        store.retire(signing)
